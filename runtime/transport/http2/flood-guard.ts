import { CODE, ConnectionError } from "./frames.ts";
import { type Http2Limits, MAX_EMPTY_DATA, MAX_IGNORED_FRAMES, MAX_PINGS, MAX_SETTINGS } from "./limits.ts";

/** What a peer may do only so often in a second. */
export type Flood = "pings" | "settings" | "emptyData" | "ignored" | "streams" | "resets";

/** Counts what costs a peer less than it costs the server. */
export class FloodGuard {
  readonly #most: Readonly<Record<Flood, number>>;
  readonly #counts: Record<Flood, number> = none();

  constructor({ streamsPerSecond, resetsPerSecond }: Http2Limits) {
    this.#most = {
      pings: MAX_PINGS,
      settings: MAX_SETTINGS,
      emptyData: MAX_EMPTY_DATA,
      ignored: MAX_IGNORED_FRAMES,
      streams: streamsPerSecond,
      resets: resetsPerSecond,
    };
  }

  /** @throws {ConnectionError} If it was once too often since the last {@link restart}. */
  count(what: Flood): void {
    if (++this.#counts[what] > this.#most[what]) {
      throw new ConnectionError(CODE.ENHANCE_YOUR_CALM, `too many ${what} in a second`);
    }
  }

  /** A new second begins. */
  restart(): void {
    Object.assign(this.#counts, none());
  }
}

function none(): Record<Flood, number> {
  return { pings: 0, settings: 0, emptyData: 0, ignored: 0, streams: 0, resets: 0 };
}
