import type { Expression, Policy, PolicyFactory, PolicyMetadata } from "@policy-engine/sdk";
import { FixedWindowLimit } from "./fixed-window-limit.ts";
import { GcraLimit } from "./gcra-limit.ts";
import { type KeyReader, keyReader } from "./key-reader.ts";
import { KeyTable } from "./key-table.ts";
import { KeyedHash } from "./keyed-hash.ts";
import { type LimitParams, limitsOf, problemsOf } from "./limits-of.ts";
import type { Params } from "./params.gen.ts";
import { policyItem } from "./rate-limit-headers.ts";
import { type LimitAtWork, rateLimiter } from "./rate-limiter.ts";

/** What outlives an instance: the counters, by what they count. */
interface Counters {
  readonly hash: KeyedHash;
  readonly tables: ReadonlyMap<string, KeyTable>;
}

const countersOf = new WeakMap<Policy, Counters>();

/** Types of CEL that can be a whole number; of `dyn` only the request tells. */
const COUNTABLE: ReadonlySet<string> = new Set(["int", "uint", "dyn"]);

/**
 * Lets so many requests pass in a time and answers 429 beyond. The counters are those of the instance before, for each
 * limit that still counts the same: a change of a number gives nobody a new start.
 */
export const getPolicy: PolicyFactory<Params> = (metadata, params) => {
  const before = metadata.previous && countersOf.get(metadata.previous);
  const hash = before?.hash ?? new KeyedHash();
  const tables = new Map<string, KeyTable>();
  const readers = new Map<string, KeyReader>();
  const limits = limitsOf(params).map((limit): LimitAtWork => {
    const identity = identityOf(limit);
    const table = before?.tables.get(identity) ?? new KeyTable(params.maxKeys);
    tables.set(identity, table);
    const insists = limit.onMissingKey !== "shared";
    const reading = JSON.stringify([limit.key, insists]);
    const reader = readers.get(reading) ?? keyReader(limit.key, { metadata, insists });
    readers.set(reading, reader);
    const atWork =
      limit.algorithm === "gcra" ? new GcraLimit(limit, table) : new FixedWindowLimit(limit, table);
    return {
      name: limit.name,
      limit: atWork,
      policyItem: policyItem(limit),
      table,
      reader,
      deniesMissingKey: limit.onMissingKey === "deny",
      cost: limit.cost === undefined ? undefined : costExpression(limit.cost, metadata),
      reason: limit.name === "default" ? "rate_limited" : `rate_limited.${limit.name}`,
    };
  });
  const policy = rateLimiter(limits, { hash, metadata, params });
  countersOf.set(policy, { hash, tables });
  // Last: an instance that cannot be made must not change the tables of the one before.
  for (const table of tables.values()) table.maxKeys = params.maxKeys;
  return policy;
};

/** What the schema cannot say. */
export function validate(params: Params): string[] {
  return problemsOf(params);
}

/** What a counter counts. Windows of another length are other windows; all else may change under it. */
function identityOf({ name, algorithm, key, perTicks }: LimitParams): string {
  return JSON.stringify([name, algorithm, key, algorithm === "fixed-window" ? perTicks : 0]);
}

function costExpression(source: string, metadata: PolicyMetadata): Expression {
  const expression = metadata.expression(source);
  if (COUNTABLE.has(expression.type)) return expression;
  throw new Error(`Cannot use a cost of type ${expression.type}: a whole number is needed`);
}
