// The bodies of one exchange: whether a step's body is there, what it may weigh, and what memory it takes.
import type { Gauge } from "../observability/metrics.ts";
import { BodyMemory } from "./body-memory.ts";
import { ContentCodingError, type ContentLimits, DEFAULT_MAX_RATIO } from "./content-coding.ts";
import type { ReasonCode } from "./denial.ts";
import type { BodyNeed } from "./message-body.ts";
import { type RequestMessage, ResponseMessage } from "./messages.ts";

/** Bounds for the bodies of an exchange. */
export interface BodySettings {
  /** For one body, as it came and decoded. */
  readonly limits: ContentLimits;
  /** Shared by all exchanges. */
  readonly memory: BodyMemory;
}

/** Why a body ends a chain. */
export type BodyReason = Extract<ReasonCode, `body_${string}` | "change_too_late">;

/** What stands between a step and its body: nothing, that it has not come, a limit, or that it is broken. */
export type BodyState = "ready" | "suspend" | BodyReason | ContentCodingError;

export type Direction = "request" | "response";

/** The client's fault in the request, the upstream's in the response. */
export const BODY_STATUS: Readonly<Record<BodyReason, Readonly<Record<Direction, number>>>> = {
  body_too_large: { request: 413, response: 502 },
  body_memory_exhausted: { request: 503, response: 502 },
  body_timeout: { request: 408, response: 504 },
  body_unbufferable: { request: 501, response: 502 },
  change_too_late: { request: 400, response: 502 },
};

/** Bounds from `limits.bodyBytes` and `limits.bodyMemory`; the gauge shows what is in use. */
export function bodySettings(
  limits: { readonly bodyBytes: number; readonly bodyMemory: number },
  gauge?: Gauge,
): BodySettings {
  return {
    limits: { maxBytes: limits.bodyBytes, maxRatio: DEFAULT_MAX_RATIO },
    memory: new BodyMemory(limits.bodyMemory, gauge),
  };
}

/** 10 MiB a body, and no bound for all together. */
export const DEFAULT_BODIES = bodySettings({
  bodyBytes: 10 * 1024 * 1024,
  bodyMemory: Number.POSITIVE_INFINITY,
});

/** Codes of a content that decodes to more than it may. */
const LARGE: ReadonlySet<string> = new Set(["too_large", "too_dense"]);
const EMPTY = new Uint8Array(0);

/** See the head of the file. */
export class ExchangeBodies {
  /** Where the next step waits for a body. */
  readonly suspended: Record<Direction, boolean> = { request: false, response: false };
  readonly #limits: ContentLimits;
  /** The lower one of the route's and the engine's. */
  readonly #maxBytes: number;
  readonly #memory: BodyMemory;
  /** Bytes taken of the memory. */
  readonly #taken: Record<Direction, number> = { request: 0, response: 0 };

  constructor({ limits, memory }: BodySettings, routeBytes: number) {
    this.#limits = limits;
    this.#maxBytes = Math.min(routeBytes, limits.maxBytes);
    this.#memory = memory;
  }

  /** Takes the body that a direction waited for. A reason: it must not be taken. */
  arrive(
    direction: Direction,
    message: RequestMessage | ResponseMessage,
    content: Uint8Array,
  ): BodyReason | undefined {
    this.suspended[direction] = false;
    if (content.length > this.#maxBytes) return "body_too_large";
    if (!this.#take(direction, content.length)) return "body_memory_exhausted";
    message.body.arrive(content, message.headers.get("content-encoding"));
    return undefined;
  }

  /** Whether a body can be read as it is needed; decodes it where that is so. Suspends the direction if it has to come. */
  prepare(direction: Direction, message: RequestMessage | ResponseMessage, need: BodyNeed): BodyState {
    if (message.body.arrived) return need === "raw" ? "ready" : this.#decode(direction, message);
    if (!message.expectsBody) {
      // A body that a status of ours takes away is empty from here on, whatever status follows.
      if (message instanceof ResponseMessage && message.hasBody) message.dropBody();
      else message.body.arrive(EMPTY);
      return "ready";
    }
    if (message.unbufferable) return "body_unbufferable";
    if (Number(message.headers.get("content-length") ?? 0) > this.#maxBytes) return "body_too_large";
    this.suspended[direction] = true;
    return "suspend";
  }

  /** Gives back what the bodies of a direction took. */
  release(direction: Direction): void {
    this.#memory.release(this.#taken[direction]);
    this.#taken[direction] = 0;
  }

  #decode(direction: Direction, { body }: RequestMessage | ResponseMessage): BodyState {
    if (body.decoded) return "ready";
    try {
      const decoded = body.decode({ ...this.#limits, maxBytes: this.#maxBytes });
      return decoded === body.content || this.#take(direction, decoded.length)
        ? "ready"
        : "body_memory_exhausted";
    } catch (cause) {
      if (!(cause instanceof ContentCodingError)) throw cause;
      return LARGE.has(cause.code) ? "body_too_large" : cause;
    }
  }

  #take(direction: Direction, bytes: number): boolean {
    if (!this.#memory.acquire(bytes)) return false;
    this.#taken[direction] += bytes;
    return true;
  }
}
