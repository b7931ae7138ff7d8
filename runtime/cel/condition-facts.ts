import type { Condition } from "./compile-condition.ts";
import { checker } from "./environment.ts";
import { asNode } from "./node.ts";
import { Survey } from "./survey.ts";
import type { ConditionInput } from "./variables.ts";

/** What can be said of a condition without an exchange. */
export interface ConditionFacts {
  /** Variables and fields that it can read, such as `route`, `Request.headers` or `Original.path`. */
  readonly names: ReadonlySet<string>;
  /** What it comes to whatever the exchange is; undefined where that depends, or cannot be told. */
  readonly constant: boolean | undefined;
}

/** Looks closer at a condition, for warnings: parsed anew, so that conditions need not carry this along. */
export function conditionFacts(condition: Condition): ConditionFacts {
  const { names } = new Survey(asNode(checker().environment.parse(condition.source).ast));
  return { names, constant: constantOf(condition, names) };
}

/**
 * CEL lets `false && x` be false whatever becomes of x: evaluated over nothing, a condition that still has a value
 * is constant. The time needs no exchange, so what reads it is not told.
 */
function constantOf(condition: Condition, names: ReadonlySet<string>): boolean | undefined {
  if (names.has("time")) return undefined;
  try {
    return condition.evaluate(NOTHING);
  } catch {
    return undefined;
  }
}

/** An exchange of which nothing can be read. */
const NOTHING = new Proxy({} as ConditionInput, { get: refuse, has: refuse });

function refuse(): never {
  throw new RangeError("There is no exchange");
}
