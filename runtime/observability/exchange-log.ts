import type { EngineLogger } from "./log.ts";

/** What is said of a finished exchange. */
export interface ExchangeFacts {
  readonly route: string;
  /** `passed`, `denied`, `failed` or `cancelled`. */
  readonly outcome: string;
  /** Why it was denied or failed. */
  readonly reason: string | undefined;
  /** `name:version` of the policy that decided. */
  readonly policy: string | undefined;
  readonly error_id: string | undefined;
  /** What the client gets, as far as the engine knows. */
  readonly status: number | undefined;
  /** Time of the engine and its policies. */
  readonly duration_ms: number;
  /** The messages that came. */
  readonly phases: readonly string[];
}

const HASHES = 2 ** 32;

/**
 * A line for each finished exchange: all of them at debug, else a sample at info. Which ones belong to the sample
 * is decided by their ids, so that two engines which see the same request agree.
 */
export class ExchangeLog {
  readonly #log: EngineLogger;
  readonly #sampled: number;

  /** `sampleRate` is the share that is sampled, 0 to 1. */
  constructor(log: EngineLogger, sampleRate: number) {
    this.#log = log;
    this.#sampled = sampleRate * HASHES;
  }

  /** Whether to call `write` at all: without it nothing has to be put together. */
  get enabled(): boolean {
    return this.#log.enabled(this.#sampled > 0 ? "info" : "debug");
  }

  write(requestId: string, facts: ExchangeFacts): void {
    const level = Bun.hash.crc32(requestId) < this.#sampled ? "info" : "debug";
    if (this.#log.enabled(level)) this.#log[level]("Exchange ended", { request_id: requestId, ...facts });
  }
}
