import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

const fromUser = { name: "remember", parameters: { key: "user", fromHeader: "x-user" } };
const recall = { name: "recall", parameters: { key: "user", header: "x-recalled" } };

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      { route: "limited", policies: [fromUser, { name: "limit-per-user", parameters: { requests: 2 } }] },
      { route: "phases", policies: [fromUser, recall] },
      {
        route: "writers",
        policies: [
          { name: "remember", parameters: { key: "user", value: "first" } },
          { name: "recall", parameters: { key: "user", header: "x-between" } },
          { name: "remember", parameters: { key: "user", value: "last" } },
          recall,
        ],
      },
      {
        route: "keyed",
        policies: [
          {
            name: "api-key-validation",
            version: "v2.0.0",
            parameters: {
              consumers: [{ id: "acme", keys: ["acme-key-1"], attributes: { tier: "gold" } }],
              attributeHeaders: { "x-tier": "tier" },
            },
          },
        ],
      },
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test("US7.1: a limit counts by the user that an earlier policy found", async () => {
  const statuses: number[] = [];
  for (const user of ["ann", "ann", "bob", "ann", "bob", "bob"]) {
    statuses.push((await stack.get("/limited", [["x-user", user]])).status);
  }
  expect(statuses).toEqual([200, 200, 200, 429, 200, 429]);
});

test("US7.2: the response phase reads what the request phase wrote, each exchange its own", async () => {
  const users = Array.from({ length: 20 }, (_, index) => `user-${index}`);
  const responses = await Promise.all(users.map((user) => stack.get("/phases", [["x-user", user]])));
  expect(responses.map((response) => response.header("x-recalled"))).toEqual(users);
});

test("US7.2: nothing is left over from another exchange", async () => {
  await stack.get("/phases", [["x-user", "ann"]]);
  expect((await stack.get("/phases")).header("x-recalled")).toBe("undefined");
});

test("US7.4: edge: Metadata key collision: the last writer wins, and earlier readers saw the earlier value", async () => {
  const response = await stack.get("/writers");
  expect(response.echo().header("x-between")).toBe("first");
  expect(response.echo().header("x-recalled")).toBe("last");
  expect(response.header("x-recalled")).toBe("last");
});

test("FR-005: what an authentication policy knows of the consumer reaches the upstream", async () => {
  const echo = (await stack.get("/keyed", [["x-api-key", "acme-key-1"]])).echo();
  expect([echo.header("x-consumer-id"), echo.header("x-tier")]).toEqual(["acme", "gold"]);
});
