// Exceptions and rejections that nothing waited for. The process lives, and the policy in whose code the error was
// made is found by the error's stack alone, so that requests pay nothing for it.
import type { EngineMetrics, StrayKind } from "../observability/engine-metrics.ts";
import type { EngineLogger } from "../observability/log.ts";

/** What the log says of each. */
const MESSAGES: Readonly<Record<StrayKind, string>> = {
  exception: "Exception that nothing caught",
  rejection: "Rejection that nothing waited for",
};
/** Characters of a stack that are looked at: some fifty frames. */
const MAX_STACK = 8 * 1024;
/** A frame in the folder that the builder gives a policy, or that its author did by the same custom. */
const FRAME = /(?:^|[\s(/])policies\/([A-Za-z][A-Za-z0-9-]*)\/(v[^/\s:]+)\//;

/** Logs and counts stray errors. */
export class StrayErrors {
  readonly #log: EngineLogger;
  readonly #metrics: EngineMetrics;
  readonly #policies: ReadonlySet<string>;

  constructor(
    policies: readonly { readonly name: string; readonly version: string }[],
    { log, metrics }: { log: EngineLogger; metrics: EngineMetrics },
  ) {
    this.#policies = new Set(policies.map(({ name, version }) => `${name}:${version}`));
    this.#log = log;
    this.#metrics = metrics;
  }

  note(kind: StrayKind, error: unknown): void {
    const policy = this.policyOf(error) ?? "unknown";
    const reason = `stray_${kind}`;
    this.#metrics.strayErrors(kind).inc();
    this.#metrics.policyFailures(policy, reason).inc();
    this.#log.repeated("error", MESSAGES[kind], { policy, reason, error });
  }

  /** The policy, `name:version`, in whose code the error was made; undefined when its stack does not tell. */
  policyOf(error: unknown): string | undefined {
    for (const line of stackOf(error).split("\n")) {
      const [, name, version] = FRAME.exec(line) ?? [];
      const policy = `${name}:${version}`;
      if (/^\s*at /.test(line) && this.#policies.has(policy)) return policy;
    }
    return undefined;
  }
}

/** Anything can be thrown, also what cannot be read. */
function stackOf(error: unknown): string {
  try {
    const stack: unknown = error instanceof Error ? error.stack : undefined;
    return typeof stack === "string" ? stack.slice(0, MAX_STACK) : "";
  } catch {
    return "";
  }
}
