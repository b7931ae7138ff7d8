// What is told of an exchange to those who watch the engine: how it ended, how long it took, and its line in the log.
import type { Outcome } from "@policy-engine/sdk";
import type { Denial } from "../chain/denial.ts";
import type { Exchange } from "../chain/executor.ts";
import { requestIdOf } from "../chain/request-id.ts";
import type { EngineMetrics } from "../observability/engine-metrics.ts";
import type { ExchangeLog } from "../observability/exchange-log.ts";
import type { EnvoyMessage } from "./codec.ts";
import { type MessageKind, PARTS } from "./phases.ts";

const KINDS = Object.keys(PARTS) as MessageKind[];

/** Where it is told. */
export interface Watchers {
  /** Says how exchanges ended. */
  readonly exchanges: ExchangeLog;
  readonly metrics: EngineMetrics;
}

/** See the head of the file. Its clock stands still while Envoy has no message here and no hook is at work. */
export class ExchangeRecord {
  route = "";
  readonly #watchers: Watchers;
  /** Kept where the end is to be logged and there may be no exchange to ask. */
  #first: EnvoyMessage | undefined;
  /** The kinds of messages that came, as bits in their order. */
  #seen = 0;
  #seconds = 0;
  /** Since when the clock runs. */
  #since: number | undefined;
  /** Runs of steps that are waited for. */
  #runs = 0;

  constructor(watchers: Watchers) {
    this.#watchers = watchers;
    watchers.metrics.streamsActive.inc();
  }

  /** A message came at this time, by `performance.now()`. */
  startClock(at: number): void {
    this.#since ??= at;
  }

  /** Hooks are at work that are waited for. */
  beginRun(): void {
    this.#runs++;
  }

  endRun(): void {
    this.#runs--;
  }

  /** What came has been looked at: stops the clock, unless hooks are at work. */
  pauseClock(): void {
    if (this.#runs === 0) this.#stopClock();
  }

  note(message: EnvoyMessage): void {
    if (this.#watchers.exchanges.enabled) this.#first ??= message;
    if (message.kind !== undefined) this.#seen |= 1 << KINDS.indexOf(message.kind);
  }

  /** Tells how it ended. */
  end(how: "answered" | "cancelled", denial: Denial | undefined, exchange: Exchange | undefined): void {
    const { exchanges, metrics } = this.#watchers;
    metrics.streamsActive.dec();
    this.#stopClock();
    const outcome = how === "cancelled" ? how : (denial?.outcome ?? "passed");
    metrics.exchangeEnded(this.route, outcome, this.#seconds);
    if (exchanges.enabled) this.#log(outcome, denial, exchange);
  }

  #log(outcome: Outcome, denial: Denial | undefined, exchange: Exchange | undefined): void {
    const requestId = exchange?.requestId ?? (this.#first === undefined ? "" : requestIdIn(this.#first));
    const decider = denial?.decider;
    this.#watchers.exchanges.write(requestId, {
      route: this.route,
      outcome,
      reason: denial?.reason,
      policy: decider === undefined ? undefined : `${decider.name}:${decider.version}`,
      error_id: denial?.errorId,
      status: (denial?.response ?? exchange?.response)?.status,
      duration_ms: Math.round(this.#seconds * 1e6) / 1e3,
      phases: KINDS.filter((_, index) => (this.#seen & (1 << index)) !== 0),
    });
  }

  #stopClock(): void {
    if (this.#since === undefined) return;
    this.#seconds += (performance.now() - this.#since) / 1000;
    this.#since = undefined;
  }
}

/** The request's id where there is no exchange to ask. */
export function requestIdIn(message: EnvoyMessage): string {
  const { lines } = message.request();
  const index = lines.names.indexOf("x-request-id");
  return requestIdOf(index === -1 ? undefined : lines.text(index));
}
