import { TICKS_PER_MS } from "./limit.ts";
import type { Params } from "./params.gen.ts";

/** A limit as parameters spell it, with nothing left to default. */
export interface LimitParams {
  readonly name: string;
  readonly requests: number;
  readonly perTicks: number;
  readonly burst: number;
  readonly algorithm: "gcra" | "fixed-window";
  readonly key: Params["key"];
  readonly onMissingKey: Params["onMissingKey"];
  readonly cost: string | undefined;
}

type Limits = NonNullable<Params["limits"]>;

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const SHORTEST_MS = 100;
const LONGEST_MS = 720 * 3_600_000;
/** Times are exact as long as they are below eight years; a burst must be back long before. */
const LONGEST_REFILL_MS = 365 * 24 * 3_600_000;

/** The limits of a policy, be they written in full or short. */
export function limitsOf({ limits, requestsPerSecond, key, onMissingKey }: Params): LimitParams[] {
  const written: Limits = limits ?? [
    { name: "default", requests: requestsPerSecond ?? 1, per: "1s", algorithm: "gcra" },
  ];
  return written.map((limit) => ({
    name: limit.name,
    requests: limit.requests,
    perTicks: milliseconds(limit.per) * TICKS_PER_MS,
    burst: limit.burst ?? limit.requests,
    algorithm: limit.algorithm,
    key: limit.key ?? key,
    onMissingKey: limit.onMissingKey ?? onMissingKey,
    cost: limit.cost,
  }));
}

/** What the schema cannot say of parameters. */
export function problemsOf({ limits, requestsPerSecond }: Params): string[] {
  if ((limits === undefined) === (requestsPerSecond === undefined)) {
    return ["either requestsPerSecond or limits is needed"];
  }
  const problems: string[] = [];
  const names = new Set<string>();
  for (const [index, limit] of (limits ?? []).entries()) {
    const at = `limits[${index}]`;
    const { name, requests, per, burst, algorithm } = limit;
    if (names.has(name)) problems.push(`${at}.name is "${name}", which another one has too`);
    names.add(name);
    const ms = milliseconds(per);
    if (ms < SHORTEST_MS || ms > LONGEST_MS) problems.push(`${at}.per is ${per}, 100ms to 720h is needed`);
    if (burst !== undefined && algorithm === "fixed-window") {
      problems.push(`${at}.burst has no meaning with algorithm: fixed-window`);
    } else if (((burst ?? requests) * ms) / requests > LONGEST_REFILL_MS) {
      problems.push(`${at}.burst is ${burst}, which takes more than a year to come back`);
    }
  }
  return problems;
}

function milliseconds(text: string): number {
  const [, number, unit = ""] = /^([0-9]+)([a-z]+)$/.exec(text)!;
  return Number(number) * UNITS[unit]!;
}
