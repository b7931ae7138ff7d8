// The variables of a condition. cel-js reads one getter per field that the expression names, so that what is not
// read is not made; nothing here copies headers or bodies.
import type {
  Client,
  OriginalRequest,
  RequestContext,
  RequestView,
  ResponseContext,
} from "@policy-engine/sdk";
import { Fault } from "./fault.ts";
import { headerMap, queryMap, type StringMap } from "./string-map.ts";

/** What a condition is evaluated over: the parts of the hooks' contexts that it can name. */
export type ConditionInput =
  | (Omit<RequestView, "body" | "json" | "attributes"> & Pick<RequestContext, "metadata" | "route">)
  | (Pick<ResponseContext, "status" | "headers" | "text" | "metadata" | "route"> & {
      readonly request: Omit<RequestView, "body" | "json" | "attributes">;
    });

type RequestInput = Omit<RequestView, "body" | "json" | "attributes">;
type ResponseInput = Extract<ConditionInput, { readonly request: unknown }>;

/** For one evaluation. */
export class Variables {
  #locals: unknown[] | undefined;
  readonly #input: ConditionInput;
  #request: RequestVariable | undefined;
  #response: ResponseVariable | undefined;
  #client: ClientVariable | undefined;
  #auth: AuthVariable | undefined;
  #time: Date | undefined;

  constructor(input: ConditionInput) {
    this.#input = input;
  }

  /** What macros bind, at the places that were reserved when the expression was compiled. */
  get locals(): unknown[] {
    this.#locals ??= [];
    return this.#locals;
  }

  get request(): RequestVariable {
    this.#request ??= new RequestVariable(requestOf(this.#input), this.#input);
    return this.#request;
  }

  get response(): ResponseVariable {
    const input = this.#input;
    if (!("request" in input)) throw new Fault("not_there");
    this.#response ??= new ResponseVariable(input);
    return this.#response;
  }

  get metadata(): ReadonlyMap<string, unknown> {
    return this.#input.metadata;
  }

  get route(): string {
    return this.#input.route;
  }

  get client(): ClientVariable {
    this.#client ??= new ClientVariable(requestOf(this.#input).client);
    return this.#client;
  }

  get auth(): AuthVariable {
    this.#auth ??= new AuthVariable(this.#input.metadata.get("auth"));
    return this.#auth;
  }

  /** The same throughout one evaluation. */
  get time(): Date {
    this.#time ??= new Date();
    return this.#time;
  }
}

export class RequestVariable {
  readonly #request: RequestInput;
  readonly #exchange: ConditionInput;
  #headers: StringMap | undefined;
  #query: StringMap | undefined;
  #original: OriginalVariable | undefined;

  constructor(request: RequestInput, exchange: ConditionInput) {
    this.#request = request;
    this.#exchange = exchange;
  }

  get metadata(): ReadonlyMap<string, unknown> {
    return this.#exchange.metadata;
  }

  get path(): string {
    return this.#request.path;
  }

  get rawPath(): string {
    return this.#request.rawPath;
  }

  get query(): StringMap {
    this.#query ??= queryMap(this.#request.query);
    return this.#query;
  }

  get rawQuery(): string {
    return this.#request.rawQuery;
  }

  get method(): string {
    return this.#request.method;
  }

  get authority(): string {
    return this.#request.authority;
  }

  /** The authority without its port, in lower case. */
  get host(): string {
    return this.#request.authority.replace(/:[0-9]*$/, "").toLowerCase();
  }

  get scheme(): string {
    return this.#request.scheme;
  }

  get headers(): StringMap {
    this.#headers ??= headerMap(this.#request.headers);
    return this.#headers;
  }

  header(name: string): string {
    return this.#request.headers.get(name) ?? "";
  }

  get body(): string {
    return bodyText(this.#request);
  }

  get original(): OriginalVariable {
    this.#original ??= new OriginalVariable(this.#request.original);
    return this.#original;
  }
}

export class OriginalVariable {
  readonly #original: OriginalRequest;
  #headers: StringMap | undefined;

  constructor(original: OriginalRequest) {
    this.#original = original;
  }

  get path(): string {
    return this.#original.path;
  }

  get method(): string {
    return this.#original.method;
  }

  get authority(): string {
    return this.#original.authority;
  }

  get scheme(): string {
    return this.#original.scheme;
  }

  get headers(): StringMap {
    this.#headers ??= headerMap(this.#original.headers);
    return this.#headers;
  }

  header(name: string): string {
    return this.#original.headers.get(name) ?? "";
  }
}

export class ResponseVariable {
  readonly #response: ResponseInput;
  #headers: StringMap | undefined;

  constructor(response: ResponseInput) {
    this.#response = response;
  }

  get status(): bigint {
    return BigInt(this.#response.status);
  }

  get headers(): StringMap {
    this.#headers ??= headerMap(this.#response.headers);
    return this.#headers;
  }

  header(name: string): string {
    return this.#response.headers.get(name) ?? "";
  }

  get body(): string {
    return bodyText(this.#response);
  }
}

export class ClientVariable {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  get address(): string {
    return this.#client.address;
  }

  get port(): bigint {
    return BigInt(this.#client.port);
  }
}

/** What an authentication policy left; empty where none did, or where it left something else. */
export class AuthVariable {
  readonly subject: string;
  readonly scheme: string;
  readonly claims: object;

  constructor(value: unknown) {
    const auth: Record<string, unknown> = isRecord(value) ? value : {};
    this.subject = typeof auth.subject === "string" ? auth.subject : "";
    this.scheme = typeof auth.scheme === "string" ? auth.scheme : "";
    this.claims = isRecord(auth.claims) || auth.claims instanceof Map ? auth.claims : {};
  }
}

function requestOf(input: ConditionInput): RequestInput {
  return "request" in input ? input.request : input;
}

function bodyText(message: Pick<RequestContext, "text">): string {
  const text = message.text();
  if (text === null) throw new Fault("not_there");
  return text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
