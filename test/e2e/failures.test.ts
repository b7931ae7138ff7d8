import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import { request } from "../helpers/http.ts";
import { type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const faulty = (how: string): RouteSpec => ({
  route: how,
  policies: [
    { name: "faulty", parameters: { how } },
    { name: "tag", parameters: { label: "after" } },
    { name: "on-denials" },
  ],
});
const HOWS = ["throw", "reject", "reject-later", "nonsense", "half", "bad-header"];
/** A route whose faulty policy is left out; the one behind it and the upstream see nothing of it. */
const open = (how: string, more: object = {}): RouteSpec => ({
  route: `open-${how}`,
  policies: [
    { name: "faulty", parameters: { how, forMs: 60 }, failureMode: "open", ...more },
    { name: "tag", parameters: { label: "after" } },
    { name: "recall", parameters: { key: "half", header: "x-half" } },
  ],
});
const TIMEOUT = { timeout: "20ms" };
/** Hooks that never end, and one that ends when its time is over. */
const SLOW = ["hang-request", "hang-response", "late"];
const POLICY = "faulty:v1.0.0";
const LEAKS = [
  ["leak-rejection", "stray_rejection", "rejected behind its back"],
  ["leak-exception", "stray_exception", "thrown behind its back"],
] as const;

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      ...HOWS.map(faulty),
      faulty("throw-response"),
      ...HOWS.map((how) => open(how)),
      open("throw-response"),
      ...SLOW.map((how) => open(how, TIMEOUT)),
      ...SLOW.map((how) => ({
        route: how,
        policies: [{ name: "faulty", parameters: { how, forMs: 60 }, ...TIMEOUT }],
      })),
      ...LEAKS.map(([how]) => faulty(how)),
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
    expect(line.metadata).toMatchObject({ policy: POLICY, route: how, error_id: errorId });
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

for (const how of [...HOWS, ...SLOW, "throw-response"]) {
  test(`FR-053, FR-054: a policy that fails open (${how}) is left out, and leaves nothing behind`, async () => {
    const failures = () => stack.engine.metric("policy_worker_policy_failures_total", { policy: POLICY });
    const [before, since] = [await failures(), stack.engine.logs().length];
    const response = await stack.get(`/open-${how}`, [["x-own", "1"]]);
    expect(response.status).toBe(200);
    const echo = response.echo();
    const seen = ["x-trace", "x-half", "x-marked", "x-split", "x-own"].map((name) => echo.header(name));
    expect([echo.path, ...seen]).toEqual([`/open-${how}`, "after", "undefined", undefined, undefined, "1"]);
    expect(response.header("x-half")).toBe("undefined");
    expect((await failures()) - before).toBe(1);
    // Lines of one kind are bounded in number, and those of the others are told by now.
    if (!SLOW.includes(how)) return;
    const line = await stack.engine.waitForLog(`"route":"open-${how}"`, since);
    expect(line.metadata).toMatchObject({ policy: POLICY, route: `open-${how}`, failure_mode: "open" });
    expect(line.metadata?.error_id).toMatch(/^[0-9a-f]{16}$/);
  });
}

for (const how of SLOW) {
  test(`edge: Policy execution timeout: ${how}: 500, counted and logged`, async () => {
    const count = () =>
      stack.engine.metric("policy_worker_policy_failures_total", { policy: POLICY, reason: "timeout" });
    const before = await count();
    const response = await stack.get(`/${how}`);
    expect([response.status, response.text().split(" ")[0]]).toEqual([500, "policy_timeout"]);
    expect((await count()) - before).toBe(1);
    const line = await stack.engine.waitForLog(response.text().split(" ")[1]!);
    expect(line.metadata).toMatchObject({ policy: POLICY, reason: "policy_timeout", failure_mode: "closed" });
  });
}

for (const [how, reason, text] of LEAKS) {
  test(`FR-052: what a policy leaves behind (${how}) is told with the policy's name, and stops nothing`, async () => {
    const counted = () =>
      stack.engine.metric("policy_worker_policy_failures_total", { policy: POLICY, reason });
    const [before, since] = [await counted(), stack.engine.logs().length];
    expect((await stack.get(`/${how}`)).status).toBe(200);
    const line = await stack.engine.waitForLog(text, since);
    expect(line.metadata).toMatchObject({ policy: POLICY, reason });
    expect((await counted()) - before).toBe(1);
    expect((await stack.get("/fine")).echo().header("x-trace")).toBe("1");
  });
}

test("edge: Policy execution timeout: without one, the engine answers before Envoy gives up", async () => {
  const hang = { name: "faulty", parameters: { how: "hang-request" } };
  const routes = [
    { route: "hang", policies: [hang] },
    { route: "hang-twice", policies: [hang, hang].map((policy) => ({ ...policy, failureMode: "open" })) },
    { route: "dressed", policies: [hang, { name: "on-denials" }] },
  ];
  const messageTimeout = "3s";
  const own = await startStack({ routes, config: { extProc: { messageTimeout } } });
  const envoy = await startEnvoyFor(own, {
    routes,
    envoy({ extProc }) {
      extProc.message_timeout = messageTimeout;
    },
  });
  try {
    const paths = ["/hang", "/hang-twice", "/dressed"];
    const responses = await Promise.all(paths.map((path) => request(envoy.port, { path })));
    expect(responses.map(({ status, body }) => [status, body.toString().split(" ")[0]])).toEqual([
      [500, "policy_timeout"],
      [504, "message_timeout"],
      [500, "policy_timeout"],
    ]);
    expect(responses[2]?.header("x-denied")).toBe("true");
    expect(own.upstream.requests).toEqual([]);
  } finally {
    await envoy.stop();
    await own.stop();
  }
});

test("FR-052: a policy that fails in close is named, and stops nothing", async () => {
  const closing = (label: string): RouteSpec[] => [
    {
      route: "closing",
      policies: [
        { name: "faulty", parameters: { how: "close", whenHeader: label } },
        { name: "tag", parameters: { label } },
      ],
    },
  ];
  const own = await startStack({ routes: closing("one") });
  try {
    expect((await own.get("/closing")).echo().header("x-trace")).toBe("one");
    await own.engine.writeRoutes(closing("two"));
    await waitFor("new routes", async () => (await own.get("/closing")).echo().header("x-trace") === "two");
    const line = await own.engine.waitForLog("close failed on purpose");
    expect(line).toMatchObject({ level: "error", metadata: { policy: POLICY, route: "closing" } });
    expect((await own.engine.get("/health/ready")).status).toBe(200);
    own.engine.signal("SIGTERM");
    expect(await own.engine.exited).toBe(0);
  } finally {
    await own.stop();
  }
});
