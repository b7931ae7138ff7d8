import type { Http2Limits } from "./limits.ts";
import type { Backlog } from "./sender.ts";

/**
 * The life of a connection: `draining` still takes streams that are on their way, `last_streams` none, `ending` has
 * only to send what waits, and `over` waits for the peer to close.
 */
export type Phase = "open" | "draining" | "last_streams" | "ending" | "over";

/** What a clock looks at. */
interface ConnectionState {
  /** In milliseconds. */
  readonly now: number;
  readonly phase: Phase;
  /** The client's first SETTINGS has come. */
  readonly isGreeted: boolean;
  readonly isPaused: boolean;
  /** Bytes that the socket took, ever, and that wait for it. */
  readonly taken: number;
  readonly pending: number;
}

/** Tells what takes too long on a connection. */
export class ConnectionClock {
  readonly #limits: Http2Limits;
  readonly #startedAt: number;
  /** Something came since the clock was last looked at. */
  hasHeard = true;
  #heardAt: number;
  #askedAt: number | undefined;
  #taken = 0;
  #movedAt: number;
  #phaseSince: number | undefined;

  constructor(limits: Http2Limits, now: number) {
    this.#limits = limits;
    this.#startedAt = this.#heardAt = this.#movedAt = now;
  }

  /** The phase changed. */
  beginPhase(): void {
    this.#phaseSince = undefined;
  }

  /** What is to be done now: break off, ask whether anyone is there, or go on with the drain. */
  check(state: ConnectionState): "terminate" | "ask" | "go_on" | undefined {
    const { now, phase } = state;
    const { prefaceTimeoutMs, replyTimeoutMs } = this.#limits;
    this.#phaseSince ??= now;
    if (this.#isStalled(state)) return "terminate";
    // Whoever takes the last of it slowly takes it.
    if (phase === "ending") return now - this.#movedAt > replyTimeoutMs ? "terminate" : undefined;
    if (phase === "over") return now - this.#phaseSince > replyTimeoutMs ? "terminate" : undefined;
    if (!state.isGreeted) return now - this.#startedAt > prefaceTimeoutMs ? "terminate" : undefined;
    if (phase === "draining" && now - this.#phaseSince > replyTimeoutMs) return "go_on";
    return this.#checkSilence(state);
  }

  #isStalled({ now, taken, pending }: ConnectionState): boolean {
    if (pending === 0 || taken !== this.#taken) {
      this.#taken = taken;
      this.#movedAt = now;
    }
    return now - this.#movedAt > this.#limits.stallTimeoutMs;
  }

  #checkSilence({ now, isPaused }: ConnectionState): "terminate" | "ask" | undefined {
    const { silenceMs, replyTimeoutMs } = this.#limits;
    // Nothing is heard of a peer that is not read from.
    if (this.hasHeard || isPaused) {
      this.hasHeard = false;
      this.#heardAt = now;
      this.#askedAt = undefined;
      return undefined;
    }
    if (this.#askedAt !== undefined) return now - this.#askedAt > replyTimeoutMs ? "terminate" : undefined;
    if (now - this.#heardAt <= silenceMs) return undefined;
    this.#askedAt = now;
    return "ask";
  }
}

/** Whether nothing of a backlog has gone out for so long. */
export function isStuck(backlog: Backlog, now: number, timeoutMs: number): boolean {
  if (backlog.hasMoved) {
    backlog.hasMoved = false;
    backlog.stuckSince = now;
  }
  return now - backlog.stuckSince > timeoutMs;
}
