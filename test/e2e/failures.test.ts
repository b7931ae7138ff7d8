import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

const faulty = (how: string) => ({
  route: how,
  policies: [
    { name: "faulty", parameters: { how } },
    { name: "tag", parameters: { label: "after" } },
    { name: "on-denials" },
  ],
});
const HOWS = ["throw", "reject", "nonsense", "bad-header"];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      ...HOWS.map(faulty),
      faulty("throw-response"),
      { route: "create", policies: [{ name: "faulty", parameters: { how: "create" } }] },
      { route: "fine", policies: [{ name: "tag", parameters: { label: "1" } }] },
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

for (const how of HOWS) {
  test(`FR-052: a policy that fails (${how}) fails the request closed, without detail, and later ones do not run`, async () => {
    stack.upstream.forget();
    const since = stack.engine.logs().length;
    const response = await stack.get(`/${how}`);
    expect(response.status).toBe(500);
    expect(response.text()).toMatch(/^policy_failed [0-9a-f]+$/);
    expect(response.header("x-denied")).toBe("true");
    expect(stack.upstream.requests).toEqual([]);
    const errorId = response.text().split(" ")[1] ?? "";
    const line = await stack.engine.waitForLog(errorId, since);
    expect(line.metadata).toMatchObject({ policy: "faulty:v1.0.0", route: how, error_id: errorId });
  });
}

test("FR-052: a policy that fails in the response fails it closed", async () => {
  const response = await stack.get("/throw-response");
  expect([response.status, response.text().split(" ")[0]]).toEqual([500, "policy_failed"]);
});

test("FR-052: a policy whose getPolicy throws makes its route unavailable and no other", async () => {
  expect((await stack.get("/create")).status).toBe(503);
  await stack.engine.waitForLog("getPolicy failed on purpose");
  expect((await stack.get("/fine")).echo().header("x-trace")).toBe("1");
});

test("FR-052: failures are counted by policy, and the process lives", async () => {
  const before = await stack.engine.metric("policy_worker_policy_failures_total", {
    policy: "faulty:v1.0.0",
  });
  for (const how of HOWS) await stack.get(`/${how}`);
  const after = await stack.engine.metric("policy_worker_policy_failures_total", { policy: "faulty:v1.0.0" });
  expect(after - before).toBe(HOWS.length);
  expect((await stack.engine.get("/health/live")).status).toBe(200);
});
