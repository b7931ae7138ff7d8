import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      { route: "a", policies: [{ name: "tag", version: "v1.0.0", parameters: { label: "x" } }] },
      { route: "b", policies: [{ name: "tag", version: "v2.0.0", parameters: { label: "x" } }] },
      { route: "c", policies: [{ name: "tag", version: "v2.0.0", parameters: { label: "x", suffix: "?" } }] },
      { route: "major", policies: [{ name: "tag", version: "v2", parameters: { label: "x" } }] },
      {
        route: "both",
        policies: [
          { name: "tag", version: "v1.0.0", parameters: { label: "one" } },
          { name: "tag", version: "v2.0.0", parameters: { label: "two" } },
        ],
      },
      { route: "gone", policies: [{ name: "tag", version: "v0.9.0", parameters: { label: "x" } }] },
      {
        route: "old",
        policies: [{ name: "tag", version: "v1.0.0", parameters: { label: "x", suffix: "?" } }],
      },
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

async function trace(path: string): Promise<string[]> {
  return (await stack.get(path)).echo().headerValues("x-trace");
}

test("US3.1: each route uses the version it names", async () => {
  expect([await trace("/a"), await trace("/b")]).toEqual([["x"], ["x!"]]);
  expect((await stack.get("/b")).echo().header("x-tag-version")).toBe("v2.0.0");
});

test("US3.2: a parameter that is new in a version takes effect there", async () => {
  expect(await trace("/c")).toEqual(["x?"]);
});

test("US3.2: a parameter that a version does not have is an error of that route, in words", async () => {
  const line = await stack.engine.waitForLog("/routes/6/policies/0/parameters/suffix");
  expect(JSON.stringify(line)).toContain("suffix");
  expect((await stack.get("/old")).status).toBe(503);
});

test("US3.3: edge: Policy version mismatch: a version that is not in the executable is an error that names those that are", async () => {
  const line = JSON.stringify(await stack.engine.waitForLog("/routes/5/policies/0/version"));
  expect(line).toContain("v0.9.0");
  expect(line).toContain("v1.0.0");
  expect(line).toContain("v2.0.0");
  expect((await stack.get("/gone")).status).toBe(503);
});

test("FR-013: two versions of one policy work in one chain", async () => {
  expect(await trace("/both")).toEqual(["one", "two!"]);
});

test("FR-013: a major version stands for its highest in the executable", async () => {
  expect(await trace("/major")).toEqual(["x!"]);
});
