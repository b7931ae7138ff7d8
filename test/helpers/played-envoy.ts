// Envoy as far as an exchange sees it: it holds a message in each direction, sends what its configuration and the
// answers ask for, and does what the answers tell. What the real one would refuse is noted as a fault.
import type { CommonResponse } from "../../runtime/gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import type { Base, Direction, Lines, ModelExchange, ModelMessage, Shape } from "./exchange-model.ts";
import { type DrivenStream, type HeaderPairs, settle } from "./kernel.ts";
import { dropLines } from "./model-lines.ts";
import type { Refusal, Sent } from "./model-side.ts";
import type { Random } from "./random.ts";

const BODY_MODES = { NONE: 0, STREAMED: 1, BUFFERED: 2 } as const;
const CONTINUE_AND_REPLACE = 1;
const SKIP = 2;
/** Body mode, whether trailers and response headers are sent, whether answers may change it. */
const BASES = {
  wide: [BODY_MODES.BUFFERED, true, true],
  unknown: [BODY_MODES.BUFFERED, true, true],
  fixed: [BODY_MODES.BUFFERED, true, false],
  streamed: [BODY_MODES.STREAMED, false, true],
  narrow: [BODY_MODES.NONE, false, true],
} as const satisfies Record<Base, readonly [number, boolean, boolean]>;

/** One message in Envoy's hands. */
class Held {
  readonly lines: Lines;
  readonly shape: Shape;
  start: string;
  body: string;
  bodyMode: number;
  sendsTrailers: boolean;
  sendsHeaders = true;
  /** Nothing of it is sent to the engine any more. */
  isReplaced = false;

  constructor({ lines, shape, content }: ModelMessage, options: { start: string; base: Base }) {
    this.lines = [...lines];
    this.shape = shape;
    this.body = content;
    this.start = options.start;
    [this.bodyMode, this.sendsTrailers] = BASES[options.base];
  }

  sent(): Sent {
    const lines = this.lines.filter(([name]) => name !== "content-length");
    return { lines, body: this.body, start: this.start };
  }
}

/** See the head of the file. */
export class PlayedEnvoy {
  readonly faults: string[] = [];
  readonly #stream: DrivenStream;
  readonly #exchange: ModelExchange;
  readonly #random: Random;
  readonly #request: Held;
  readonly #response: Held;
  /** Answers that were looked at. */
  #taken = 0;

  constructor(stream: DrivenStream, exchange: ModelExchange, random: Random) {
    const { base, status } = exchange;
    this.#stream = stream;
    this.#exchange = exchange;
    this.#random = random;
    this.#request = new Held(exchange.request, { start: "/", base });
    this.#response = new Held(exchange.response, { start: String(status), base });
  }

  /** Plays the whole exchange. */
  async play(): Promise<{ denied: Refusal | undefined; request: Sent; response: Sent }> {
    await this.#pass("request", this.#request);
    if (!this.#isOver && this.#response.sendsHeaders) await this.#pass("response", this.#response);
    const { denial } = this.#stream;
    if (denial === undefined) {
      this.#checkLength("request", this.#request);
      this.#checkLength("response", this.#response);
      return { denied: undefined, request: this.#request.sent(), response: this.#response.sent() };
    }
    const reason = denial.details.split(":")[1] ?? "";
    const lines: Lines = [];
    this.#edit(lines);
    const response = { lines, body: latin1(this.#stream.denialBody), start: String(denial.status) };
    return { denied: { status: denial.status, reason }, request: this.#request.sent(), response };
  }

  get #isOver(): boolean {
    return this.#stream.ended || this.#stream.failed || this.#stream.denial !== undefined;
  }

  async #pass(direction: Direction, held: Held): Promise<void> {
    const { shape } = held;
    const content = held.body;
    this.#stream.send(`${direction}_headers`, {
      headers: this.#headersOf(direction, held),
      endOfStream: shape === "nothing",
      extra: this.#setup(direction),
    });
    await this.#takeAnswers(1);
    if (this.#isOver || held.isReplaced || shape === "nothing") return;
    const trailers = shape.endsWith("trailers") && held.sendsTrailers;
    if (held.bodyMode === BODY_MODES.STREAMED) this.faults.push(`${direction}: the body was left streamed`);
    if (shape.startsWith("data") && held.bodyMode === BODY_MODES.BUFFERED) {
      this.#stream.send(`${direction}_body`, {
        body: Buffer.from(content, "latin1"),
        endOfStream: shape === "data",
      });
      // Trailers may come while the body is being looked at.
      const isPipelined = trailers && !this.#isOver && this.#random.chance(0.5);
      if (isPipelined) this.#stream.send(`${direction}_trailers`);
      await this.#takeAnswers(isPipelined ? 2 : 1);
      if (isPipelined) return;
    }
    if (!trailers || this.#isOver) return;
    this.#stream.send(`${direction}_trailers`);
    await this.#takeAnswers(1);
  }

  #headersOf(direction: Direction, { lines, start }: Held): HeaderPairs {
    if (direction === "response") return [[":status", start], ...lines];
    const { method } = this.#exchange;
    return [
      [":method", method],
      [":scheme", "http"],
      [":authority", "example.test"],
      [":path", start],
      ...lines,
    ];
  }

  #setup(direction: Direction): object {
    const [mode] = BASES[this.#exchange.base];
    if (direction === "response" || this.#exchange.base === "unknown") return {};
    return { protocolConfig: { requestBodyMode: mode, responseBodyMode: mode } };
  }

  async #takeAnswers(count: number): Promise<void> {
    const wanted = this.#taken + count;
    const { answers } = this.#stream;
    // Within a decoder that the engine calls, promises that are ready run too, before it has returned.
    for (let turn = 0; turn < 30 && answers.length < wanted && !this.#isOver; turn++) {
      await (turn === 0 ? settle() : new Promise((resolve) => setImmediate(resolve)));
    }
    for (; this.#taken < answers.length; this.#taken++) this.#obey(this.#taken);
    if (this.#taken < wanted && !this.#isOver) this.faults.push(`no answer ${wanted}`);
  }

  #obey(index: number): void {
    const { response, modeOverride } = this.#stream.answers[index]!;
    if (response.case === undefined || response.case === "immediateResponse") return;
    const direction = response.case.startsWith("request") ? "request" : "response";
    const held = direction === "request" ? this.#request : this.#response;
    if (modeOverride !== undefined && BASES[this.#exchange.base][2]) {
      const isRequest = direction === "request";
      if (isRequest) this.#request.bodyMode = modeOverride.requestBodyMode;
      if (isRequest) this.#request.sendsTrailers = modeOverride.requestTrailerMode !== SKIP;
      if (isRequest) this.#response.sendsHeaders = modeOverride.responseHeaderMode !== SKIP;
      this.#response.bodyMode = modeOverride.responseBodyMode;
      this.#response.sendsTrailers = modeOverride.responseTrailerMode !== SKIP;
    }
    if (response.case.endsWith("Trailers")) return;
    const common = (response.value as { response?: CommonResponse }).response;
    if (common === undefined) return;
    this.#edit(held.lines, { held, index });
    this.#replaceBody(held, { common, part: response.case });
  }

  #replaceBody(held: Held, { common, part }: { common: CommonResponse; part: string }): void {
    const mutation = common.bodyMutation?.mutation;
    const replaces = Number(common.status) === CONTINUE_AND_REPLACE;
    if (mutation?.case === undefined) return;
    if (part.endsWith("Headers") && !replaces) this.faults.push(`${part}: a body that Envoy leaves out`);
    held.body = mutation.case === "body" ? latin1(mutation.value) : "";
    if (part.endsWith("Body")) {
      const length = held.lines.find(([name]) => name === "content-length")?.[1];
      if (length !== undefined && Number(length) !== held.body.length)
        this.faults.push(`${part}: a length of ${length} for ${held.body.length} bytes`);
      return;
    }
    // The message goes in chunks then.
    if (held.body !== "") dropLines(held.lines, "content-length");
    held.isReplaced = true;
  }

  /** What Envoy does to the headers it holds, or writes: removals first. */
  #edit(lines: Lines, at: { held?: Held; index?: number } = {}): void {
    for (const edit of this.#stream.editsOf(at.index ?? this.#stream.answers.length - 1)) {
      const removed = /^-(.+)$/.exec(edit)?.[1];
      const [, name, append, value = ""] = /^(:?[^+=]+)(\+)?=(.*)$/s.exec(edit) ?? [];
      if (removed !== undefined) dropLines(lines, removed);
      else if (name === ":path" || name === ":status") at.held!.start = value;
      else if (append === undefined) dropLines(lines, name!);
      if (removed === undefined && !name!.startsWith(":")) lines.push([name!, value]);
    }
  }

  /** A length beside a body must be that body's, but where a message tells of a body that does not come. */
  #checkLength(direction: Direction, { lines, body, start }: Held): void {
    const lengths = lines.filter(([name]) => name === "content-length").map(([, value]) => value);
    const note = `${direction} ${start}: length ${lengths} for a body of ${body.length}`;
    const isBodiless = direction === "response" && (start === "204" || start === "304");
    if (isBodiless && body !== "") this.faults.push(note);
    if (lengths.length === 0) return;
    if (direction === "response" && (this.#exchange.method === "HEAD" || start === "304")) return;
    const isRight = lengths.length === 1 && Number(lengths[0]) === body.length;
    if (!isRight || isBodiless) this.faults.push(note);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
