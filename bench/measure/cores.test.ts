import { expect, test } from "bun:test";
import { describePlan, onCores, planCores } from "./cores.ts";

test.each([
  [1, 1, undefined],
  [2, 2, undefined],
  [2, 1, { envoy: "0", processor: "1", rest: "1" }],
  [3, 1, { envoy: "0", processor: "1", rest: "2" }],
  [4, 2, { envoy: "0-1", processor: "2", rest: "3" }],
  [8, 2, { envoy: "0-1", processor: "2-3", rest: "4-7" }],
])("%p cores, %p workers", (cores, workers, expected) => {
  expect(planCores(cores, workers)).toEqual(expected as never);
});

test("a program is pinned only where there is a plan, and the report says which", () => {
  expect(onCores("2", ["a", "b"])).toEqual(["taskset", "-c", "2", "a", "b"]);
  expect(onCores(undefined, ["a", "b"])).toEqual(["a", "b"]);
  expect(describePlan(planCores(2, 1))).toContain("share core 1");
  expect(describePlan(planCores(2, 2))).toContain("not pinned");
  expect(describePlan(planCores(4, 1))).toBe("Envoy on core 0, processor on 1, upstream and load on 2-3");
});
