import { expect, test } from "bun:test";
import type { PolicyInstance } from "../policy/instance.ts";
import { ClosingInstances } from "./shared-instance.ts";

function instances(count: number, close: (index: number) => Promise<void>): PolicyInstance[] {
  return Array.from({ length: count }, (_, index) => ({ close: () => close(index) }) as PolicyInstance);
}

test("a few instances are closed at once, in their order", async () => {
  const closed: number[] = [];
  const closing = new ClosingInstances();
  for (const instance of instances(5, async (index) => void closed.push(index))) closing.close(instance);
  expect(closed).toEqual([0, 1, 2, 3, 4]);
  await closing.settled();
});

test("thousands are closed in many turns, in their order, and waited for", async () => {
  const turns = new Map<number, number>();
  const closed: number[] = [];
  let turn = 0;
  let ended = false;
  const count = (): void => {
    turn += 1;
    if (!ended) setImmediate(count);
  };
  setImmediate(count);
  const closing = new ClosingInstances();
  const all = instances(2_050, async (index) => {
    turns.set(turn, (turns.get(turn) ?? 0) + 1);
    await Promise.resolve();
    closed.push(index);
  });
  for (const instance of all) closing.close(instance);
  expect(turns.get(0)).toBeLessThanOrEqual(200);
  await closing.settled();
  ended = true;
  expect(closed).toEqual(Array.from({ length: 2_050 }, (_, index) => index));
  expect(Math.max(...turns.values())).toBeLessThanOrEqual(200);
});

test("an instance that takes long to close is waited for, and does not hold up others", async () => {
  const slow = Promise.withResolvers<void>();
  const closed: number[] = [];
  const closing = new ClosingInstances();
  for (const instance of instances(450, async (index) => {
    if (index === 0) await slow.promise;
    closed.push(index);
    if (index === 449) slow.resolve();
  })) {
    closing.close(instance);
  }
  await closing.settled();
  expect(closed).toHaveLength(450);
  expect(closed.at(-1)).toBe(0);
});
