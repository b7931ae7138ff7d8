// Random expressions over random exchanges: the engine and a second evaluator come to the same value, or both to an
// error. CEL_EXPRESSIONS sets how many (default 1,500); CEL_SEED repeats a run.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { exchange } from "../../runtime/cel/condition-fixtures.ts";
import { exchanges, expressions } from "./expressions.ts";
import { ourOutcome, theirOutcome } from "./reference.ts";

const RUNS = Number(process.env.CEL_EXPRESSIONS ?? 1_500);
const SEED = Number(process.env.CEL_SEED ?? Date.now() % 2 ** 31);

test("expressions mean what a second evaluator takes them for", () => {
  console.log(`${RUNS} expressions, CEL_SEED=${SEED}`);
  let compiled = 0;
  let valued = 0;
  fc.assert(
    fc.property(expressions, exchanges, ({ ours, theirs }, facts) => {
      const input = exchange(facts);
      const outcome = ourOutcome(ours, input);
      if (outcome === undefined) return;
      compiled++;
      if (outcome !== "error") valued++;
      expect(outcome).toBe(theirOutcome(theirs, input));
    }),
    { numRuns: RUNS, seed: SEED },
  );
  // Else little was compared.
  expect(compiled).toBeGreaterThan(RUNS * 0.8);
  expect(valued).toBeGreaterThan(RUNS * 0.25);
});
