import type { Logger } from "@policy-engine/sdk";
import { JwksPoller, type PollerOptions } from "./jwks-poller.ts";

/** A poller with those who use it, by their logs. */
interface Shared {
  readonly poller: Promise<JwksPoller>;
  readonly logs: Set<Logger>;
  readonly life: AbortController;
}

/**
 * State of the module on purpose: instances know nothing of each other, and an issuer has to be asked once by a
 * process, not once for each of a thousand routes.
 */
const pollers = new Map<string, Shared>();

export interface SharedPollerOptions extends Omit<PollerOptions, "logs"> {
  readonly log: Logger;
}

/** The one poller of the process for this URL and these options. It ends when the last of its users has ended. */
export function sharedPoller({ log, signal, ...options }: SharedPollerOptions): Promise<JwksPoller> {
  const { previous: _, ...same } = options;
  const key = JSON.stringify(same);
  const shared = pollers.get(key) ?? start(options);
  pollers.set(key, shared);
  shared.logs.add(log);
  const leave = () => {
    shared.logs.delete(log);
    if (shared.logs.size > 0) return;
    pollers.delete(key);
    shared.life.abort();
  };
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
  return shared.poller;
}

function start(options: Omit<SharedPollerOptions, "log" | "signal">): Shared {
  const logs = new Set<Logger>();
  const life = new AbortController();
  return { logs, life, poller: JwksPoller.start({ ...options, logs, signal: life.signal }) };
}
