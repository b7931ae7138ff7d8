import {
  type Act,
  type Direction,
  type Lines,
  type ModelExchange,
  type ModelHook,
  type ModelMessage,
  PACKED,
} from "./exchange-model.ts";
import { applyAct, dropLines, grouped } from "./model-lines.ts";

/** A body that the engine writes. */
export const UNKNOWN = "unknown";

export interface Refusal {
  status: number;
  readonly reason: string;
}

export interface Sent {
  lines: Lines;
  body: string;
  /** The path of a request, the status of a response. */
  start: string;
}

const STATUS: Readonly<Record<string, Readonly<Record<Direction, number>>>> = {
  policy_failed: { request: 500, response: 500 },
  unsupported_body_mode: { request: 500, response: 500 },
  body_too_large: { request: 413, response: 502 },
  body_memory_exhausted: { request: 503, response: 502 },
  body_unbufferable: { request: 501, response: 502 },
  change_too_late: { request: 400, response: 502 },
};

/** One message as policies leave it. */
export class ModelSide {
  readonly direction: Direction;
  readonly #exchange: ModelExchange;
  readonly #memory: { left: number };
  readonly #received: ModelMessage;
  readonly #lines: Lines;
  #start: string;
  #content: string;
  #coding: string | undefined;
  /** Whether policies may look at the body. */
  #isThere = false;
  #isReplaced = false;
  #isDecoded = false;
  #taken = 0;
  /** Where trailers came in the place of the body: what Envoy has sent on by then. */
  #gone: string | undefined;

  constructor(direction: Direction, exchange: ModelExchange, memory: { left: number }) {
    this.direction = direction;
    this.#exchange = exchange;
    this.#memory = memory;
    this.#received = exchange[direction];
    this.#lines = [...this.#received.lines];
    this.#content = this.#received.content;
    this.#start = direction === "request" ? "/" : String(exchange.status);
  }

  /** Sees to it that a step has the body it needs. */
  provide(need: string, onUnbufferable: "deny" | "skip"): Refusal | "skip" | undefined {
    if (need === "none") return undefined;
    if (!this.#isThere) {
      const obstacle = this.#receive(onUnbufferable);
      if (obstacle !== undefined) return obstacle;
    }
    return need === "raw" || this.#isDecoded ? undefined : this.#decode();
  }

  #receive(onUnbufferable: "deny" | "skip"): Refusal | "skip" | undefined {
    const { shape, content, unbufferable } = this.#received;
    const { base, bodyBytes } = this.#exchange;
    if (shape === "nothing" || this.#isBodiless) {
      this.#isThere = true;
      this.#isReplaced = shape !== "nothing";
      this.#content = "";
      return undefined;
    }
    if (unbufferable) return onUnbufferable === "skip" ? "skip" : this.refuse("body_unbufferable");
    if (Number(this.#header("content-length") ?? 0) > bodyBytes) return this.refuse("body_too_large");
    // Streamed, the headers might be gone before the body is there.
    if (base === "streamed") return this.refuse("unsupported_body_mode");
    if (shape === "trailers") this.#gone = this.#told();
    // Of a body that trailers follow nobody says that it is whole.
    if (base === "unknown" && shape === "data and trailers") return this.refuse("unsupported_body_mode");
    if (content.length > bodyBytes) return this.refuse("body_too_large");
    if (!this.#take(content.length)) return this.refuse("body_memory_exhausted");
    this.#isThere = true;
    this.#coding = this.#header("content-encoding");
    return undefined;
  }

  #decode(): Refusal | undefined {
    const decoded = this.#readable();
    if (decoded === "broken") return this.refuse("policy_failed");
    if (decoded === "large") return this.refuse("body_too_large");
    const isOther = this.#coding === "gzip" && this.#content !== "";
    if (isOther && !this.#take(decoded.text.length)) return this.refuse("body_memory_exhausted");
    this.#isDecoded = true;
    return undefined;
  }

  #readable(): { text: string } | "broken" | "large" {
    const { bodyBytes } = this.#exchange;
    const content = this.#content;
    if (this.#coding === undefined || content === "") return { text: content };
    if (this.#coding === "identity") return content.length > bodyBytes ? "large" : { text: content };
    if (this.#coding !== "gzip") return "broken";
    for (const [packed, text] of PACKED) {
      if (!content.startsWith(packed)) continue;
      if (content !== packed) return "broken";
      return text.length > bodyBytes ? "large" : { text };
    }
    return "broken";
  }

  /** What a hook that asked for the body reads, as part of its note. */
  shown(need: string): string {
    return need === "none" ? "" : `(${this.#read(need)})`;
  }

  /** What a response hook reads of the request's body, if the policy asked for it; coded, it is none. */
  shownAgain(need: string): string {
    if (need === "none" || !this.#isThere) return "";
    const isCoded = this.#coding !== undefined && this.#content !== "" && !this.#isDecoded;
    if (need === "buffered" && isCoded) return "";
    return `[${this.#read(need)}]`;
  }

  #read(need: string): string {
    if (need === "raw") return this.#content;
    const readable = this.#readable();
    return typeof readable === "object" ? readable.text : "";
  }

  /** Does what a hook does; a refusal has changed nothing. */
  perform({ act, need }: ModelHook): Refusal | undefined {
    switch (act.kind) {
      case "nothing":
        return undefined;
      case "throw":
        return this.refuse("policy_failed");
      case "deny":
        return { status: act.status, reason: "denied" };
      case "path":
        this.#start = act.value;
        return undefined;
      case "status":
        if (this.#start === "101") return this.refuse("policy_failed");
        this.#start = String(act.value);
        return undefined;
      case "body":
        return this.#performBody(act, need);
      default:
        applyAct(act, this.#lines);
        return undefined;
    }
  }

  #performBody(act: Extract<Act, { kind: "body" }>, need: string): Refusal | undefined {
    if (need === "none" || this.#received.unbufferable) return this.refuse("policy_failed");
    if (this.#isBodiless) return undefined;
    // Nothing in the place of nothing.
    if (act.how === "clear" && this.#content === "" && !this.#isReplaced) return undefined;
    if (act.how === "append") {
      this.#content = this.#content === UNKNOWN ? UNKNOWN : this.#read(need) + act.value;
    } else {
      this.#content = act.how === "clear" ? "" : act.value;
    }
    this.#isReplaced = true;
    this.#isDecoded = false;
    if (need === "buffered") {
      this.#coding = undefined;
      dropLines(this.#lines, "content-encoding");
    }
    return undefined;
  }

  /** Whether there are changes that Envoy cannot make any more. */
  isTooLate(): boolean {
    return this.#gone !== undefined && (this.#isReplaced || this.#gone !== this.#told());
  }

  refuse(reason: string): Refusal {
    return { status: STATUS[reason]![this.direction], reason };
  }

  giveBack(): void {
    this.#memory.left += this.#taken;
    this.#taken = 0;
  }

  sent(): Sent {
    return {
      lines: this.#lines.filter(([name]) => name !== "content-length"),
      body: this.#isBodiless ? "" : this.#content,
      start: this.#start,
    };
  }

  #take(bytes: number): boolean {
    if (bytes > this.#memory.left) return false;
    this.#memory.left -= bytes;
    this.#taken += bytes;
    return true;
  }

  #header(name: string): string | undefined {
    return this.#lines.find(([key]) => key === name)?.[1];
  }

  #told(): string {
    return JSON.stringify([this.#start, grouped(this.#lines)]);
  }

  get #isBodiless(): boolean {
    if (this.direction === "request") return false;
    return this.#exchange.method === "HEAD" || this.#start === "204" || this.#start === "304";
  }
}
