// The engine's conditions against the conformance suite of CEL. ledger.yaml names what does not run or does not pass.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { parse } from "yaml";
import { allCases, type Case } from "./cases.ts";
import { failureOf } from "./outcome.ts";

interface Ledger {
  readonly left_out: readonly { readonly reason: string; readonly parts: readonly string[] }[];
  readonly foreign: Readonly<Record<string, number>>;
  readonly failing: readonly { readonly reason: string; readonly cases: readonly string[] }[];
}

const ledger: Ledger = parse(await Bun.file(join(import.meta.dir, "ledger.yaml")).text());
const cases = allCases();
const leftOut = ledger.left_out.flatMap(({ parts }) => parts);
const inside = ({ id }: Case, part: string) => id.startsWith(`${part}/`);
const looked = cases.filter((found) => !leftOut.some((part) => inside(found, part)));
const run = looked.filter(({ foreign }) => foreign === undefined);

test("cases that pass, and those that do not, are as the ledger says", () => {
  // Else nothing was found.
  expect(run.length).toBeGreaterThan(1_000);
  const failing = new Map(run.flatMap((found) => [[found.id, failureOf(found)] as const]));
  const fails = [...failing].filter(([, how]) => how !== undefined).map(([id]) => id);
  const named = ledger.failing.flatMap(({ cases: ids }) => ids);
  const surprising = fails.filter((id) => !named.includes(id)).map((id) => `${id}: ${failing.get(id)}`);
  expect(surprising).toEqual([]);
  expect(named.toSorted()).toEqual(fails.toSorted());
});

test("what is left out is there, and named once", () => {
  expect(leftOut).toEqual([...new Set(leftOut)]);
  for (const part of leftOut) {
    expect([part, cases.some((found) => inside(found, part))]).toEqual([part, true]);
  }
});

test("cases for engines with protocol buffers are as many as the ledger says", () => {
  const counts: Record<string, number> = {};
  for (const { foreign } of looked) if (foreign !== undefined) counts[foreign] = (counts[foreign] ?? 0) + 1;
  expect(counts).toEqual({ ...ledger.foreign });
});

test("every part of the ledger has a reason", () => {
  for (const { reason } of [...ledger.left_out, ...ledger.failing]) expect(reason.length).toBeGreaterThan(20);
});

test("a case with another value, or without its error, does not pass", () => {
  const one = cases.find(({ id }) => id === "integer_math/int64_math/add_positive_positive")!;
  expect(failureOf(one)).toBeUndefined();
  expect(failureOf({ ...one, expected: { value: 43 } })).toBe("42n, not 43");
  expect(failureOf({ ...one, expected: { value: 42 } })).toBe("42n, not 42");
  expect(failureOf({ ...one, expected: undefined })).toBe("no error but 42n");
});
