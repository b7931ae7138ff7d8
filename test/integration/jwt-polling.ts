import { JwksPoller, type PollerOptions } from "../../examples/policies/jwt-validation/v1.0.0/jwks-poller.ts";
import { RecordingLogger } from "../../testing/recording-logger.ts";
import type { TestIssuer } from "../helpers/tokens.ts";

export const HOUR = 3_600_000;
/** What pollers of tests accept, unless they say otherwise. */
export const ALGORITHMS = ["RS256", "ES256"];

/** Pollers of one test, with what they log. */
export class Polling {
  readonly log = new RecordingLogger();
  readonly #life = new AbortController();

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  poll(url: string, more: Partial<PollerOptions> = {}): Promise<JwksPoller> {
    const times = { refreshMs: HOUR, keepMs: HOUR, waitMs: 10_000, cooldownMs: HOUR };
    const options = { url, algorithms: ALGORITHMS, ...times, logs: [this.log], signal: this.signal };
    return JwksPoller.start({ ...options, ...more });
  }

  /** Levels of the lines so far. */
  levels(): string[] {
    return this.log.lines.map(({ level }) => level);
  }

  end(): void {
    this.#life.abort();
  }
}

export function has(poller: JwksPoller, { kid }: TestIssuer): boolean {
  return poller.find({ alg: "ES256", kid }).length > 0;
}

export function usable(poller: JwksPoller): boolean {
  return Date.now() < poller.usableUntil;
}
