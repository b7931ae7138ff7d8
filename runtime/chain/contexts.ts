// What hooks see. A context belongs to one run of one hook: it reads the message as it stands, and collects
// what the hook writes to the metadata until the executor takes it over.
import type {
  Attributes,
  Client,
  EndContext,
  HeadersView,
  Logger,
  OriginalRequest,
  Outcome,
  RequestContext,
  RequestView,
  ResponseContext,
} from "@policy-engine/sdk";
import type { Step } from "./chain.ts";
import type { BodyNeed, MessageBody } from "./message-body.ts";
import type { RequestMessage, ResponseMessage } from "./messages.ts";
import { encodeBytes, normalisePath } from "./normalise-path.ts";

/** What the contexts of an exchange share. */
export interface ExchangeFacts {
  readonly requestId: string;
  readonly route: string;
  /** As the hooks that have returned left it; never written to, only replaced. */
  metadata: ReadonlyMap<string, unknown>;
}

/** What few hooks ask for, made when one does. */
interface Extras {
  metadata?: Map<string, unknown>;
  log?: Logger;
  abort?: AbortController;
  /** Why the hook was given up; a signal that is asked for later is aborted too. */
  gaveUp?: { readonly reason: unknown };
  request?: RequestView;
}

abstract class HookContext {
  readonly #facts: ExchangeFacts;
  readonly #step: Step;
  #extras: Extras | undefined;

  constructor(facts: ExchangeFacts, step: Step) {
    this.#facts = facts;
    this.#step = step;
  }

  protected get facts(): ExchangeFacts {
    return this.#facts;
  }

  protected get step(): Step {
    return this.#step;
  }

  protected get extras(): Extras {
    this.#extras ??= {};
    return this.#extras;
  }

  get requestId(): string {
    return this.facts.requestId;
  }

  get route(): string {
    return this.facts.route;
  }

  get metadata(): Map<string, unknown> {
    const { extras } = this;
    extras.metadata ??= new Map(this.facts.metadata);
    return extras.metadata;
  }

  get log(): Logger {
    const { extras } = this;
    extras.log ??= this.step.log.child({ request_id: this.facts.requestId });
    return extras.log;
  }

  /** Makes what the hook wrote visible to the hooks after it; a copy, as the hook may still hold its own. */
  commit(): void {
    const metadata = this.#extras?.metadata;
    if (metadata !== undefined) this.facts.metadata = new Map(metadata);
  }
}

/** A context with a message, whose body the step may have asked for. */
abstract class MessageContext extends HookContext {
  readonly #body: MessageBody;
  readonly #need: BodyNeed;

  constructor(facts: ExchangeFacts, step: Step, body: MessageBody, need: BodyNeed) {
    super(facts, step);
    this.#body = body;
    this.#need = need;
  }

  get signal(): AbortSignal {
    const { extras } = this;
    if (extras.abort === undefined) {
      extras.abort = new AbortController();
      if (extras.gaveUp !== undefined) extras.abort.abort(extras.gaveUp.reason);
    }
    return extras.abort.signal;
  }

  /** Tells the hook that nobody waits for it any more. */
  giveUp(reason: unknown): void {
    this.extras.gaveUp = { reason };
    this.extras.abort?.abort(reason);
  }

  get body(): Uint8Array | null {
    return this.#body.read(this.#need);
  }

  text(): string | null {
    return this.#body.text(this.#need);
  }

  json(): unknown {
    return this.#body.json(this.#need);
  }
}

/** The context of one run of `onRequest`. */
export class RequestHookContext extends MessageContext implements RequestContext {
  readonly #request: RequestMessage;

  /** `need` is the step's, unless something else looks at the body on its behalf. */
  constructor(facts: ExchangeFacts, step: Step, request: RequestMessage, need: BodyNeed = step.requestBody) {
    super(facts, step, request.body, need);
    this.#request = request;
  }

  get method(): string {
    return this.#request.method;
  }

  get path(): string {
    return normalisePath(this.rawPath);
  }

  get rawPath(): string {
    const { path } = this.#request;
    const mark = path.indexOf("?");
    return mark === -1 ? path : path.slice(0, mark);
  }

  get rawQuery(): string {
    const { path } = this.#request;
    const mark = path.indexOf("?");
    return mark === -1 ? "" : path.slice(mark + 1);
  }

  get query(): URLSearchParams {
    return new URLSearchParams(encodeBytes(this.rawQuery));
  }

  get authority(): string {
    return this.#request.authority;
  }

  get scheme(): string {
    return this.#request.scheme;
  }

  get headers(): HeadersView {
    return this.#request.headers;
  }

  get original(): OriginalRequest {
    return this.#request.original;
  }

  get client(): Client {
    return this.#request.client;
  }

  get attributes(): Attributes {
    return this.#request.attributes;
  }
}

/** The context of one run of `onResponse`. */
export class ResponseHookContext extends MessageContext implements ResponseContext {
  readonly #messages: { request: RequestMessage; response: ResponseMessage; denied: boolean };

  constructor(
    facts: ExchangeFacts,
    step: Step,
    messages: { request: RequestMessage; response: ResponseMessage; denied: boolean },
    need: BodyNeed = step.responseBody,
  ) {
    super(facts, step, messages.response.body, need);
    this.#messages = messages;
  }

  get denied(): boolean {
    return this.#messages.denied;
  }

  get request(): RequestView {
    const { extras } = this;
    extras.request ??= new RequestHookContext(this.facts, this.step, this.#messages.request);
    return extras.request;
  }

  get status(): number {
    return this.#messages.response.status;
  }

  get headers(): HeadersView {
    return this.#messages.response.headers;
  }
}

/** The context of `onEnd`. */
export class EndHookContext extends HookContext implements EndContext {
  readonly outcome: Outcome;
  readonly reason: string;

  constructor(facts: ExchangeFacts, step: Step, end: { outcome: Outcome; reason: string }) {
    super(facts, step);
    this.outcome = end.outcome;
    this.reason = end.reason;
  }
}
