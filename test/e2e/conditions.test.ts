// Conditions decide which policies run, and which bodies Envoy buffers, through the real Envoy.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

const when = (executionCondition: string, more: object = {}) => ({
  name: "tag",
  parameters: { label: "1" },
  executionCondition,
  ...more,
});
const apiKey = { name: "api-key-validation", version: "v1.0.0", parameters: { keys: ["acme-key-1"] } };

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    config: { metadata: { environment: "staging" } },
    routes: [
      {
        route: "paths",
        policies: [{ ...apiKey, executionCondition: 'request.Path.startsWith("/paths/api/")' }],
      },
      { route: "methods", policies: [when('request.Method in ["POST", "PUT", "DELETE"]')] },
      { route: "staging", policies: [when('request.Metadata["environment"] == "staging"')] },
      { route: "production", policies: [when('request.Metadata["environment"] == "production"')] },
      {
        route: "flags",
        policies: [
          { name: "remember", parameters: { key: "user", fromHeader: "x-user" } },
          when('"user" in metadata && metadata["user"] == "alice"'),
        ],
      },
      { route: "body", policies: [when('request.body.contains("yes")')] },
      {
        route: "failed",
        policies: [
          { name: "tag-response", parameters: { label: "1" }, executionCondition: "response.status >= 500" },
        ],
      },
      { route: "broken-skip", policies: [when('metadata["nobody"] == 1')] },
      { route: "broken-deny", policies: [when('metadata["nobody"] == 1', { conditionError: "deny" })] },
      {
        route: "headers",
        policies: [when('request.headers["x-missing"] == "" && request.headers["X-Here"] == "1"')],
      },
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

const trace = async (path: string, options: object = {}) => {
  const response = await stack.request({ path, ...options });
  return response.status === 200 ? response.echo().header("x-trace") : response.status;
};

test("US4.1: a policy with a condition on the path is left out elsewhere, however the path is written", async () => {
  expect(await trace("/paths/health")).toBeUndefined();
  for (const path of [
    "/paths/api/users",
    "/paths//api/users",
    "/paths/%61pi/users",
    "/paths/x/../api/users",
  ]) {
    expect([path, await trace(path)]).toEqual([path, 401]);
  }
});

test("US4.2: a condition on the method", async () => {
  expect([await trace("/methods"), await trace("/methods", { method: "POST", body: "x" })]).toEqual([
    undefined,
    "1",
  ]);
});

test("US4.3: a condition on the operator's metadata", async () => {
  expect([await trace("/staging"), await trace("/production")]).toEqual(["1", undefined]);
});

test("US4.4, US7.3: a condition on what a policy before it left", async () => {
  const asUser = (user: string) => trace("/flags", { headers: [["x-user", user]] });
  expect([await asUser("alice"), await asUser("bob")]).toEqual(["1", undefined]);
});

test("FR-015: a condition on the body waits for it", async () => {
  const send = (body: string) => trace("/body", { method: "POST", body });
  expect([await send("oh yes"), await send("no"), await trace("/body")]).toEqual(["1", undefined, undefined]);
});

test("FR-015: a condition on the response decides in the response", async () => {
  const good = await stack.get("/failed");
  expect([good.status, good.header("x-trace")]).toEqual([200, undefined]);
});

test("edge: a missing header is the empty string, names are found in any case", async () => {
  expect(await trace("/headers", { headers: [["x-here", "1"]] })).toBe("1");
});

describe("edge: CEL evaluation errors", () => {
  test("the policy is skipped by default", async () => {
    expect(await trace("/broken-skip")).toBeUndefined();
  });

  test("with conditionError: deny the exchange is refused", async () => {
    const response = await stack.get("/broken-deny");
    expect([response.status, response.text().split(" ")[0]]).toEqual([500, "condition_failed"]);
  });
});
