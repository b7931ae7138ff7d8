import { afterAll, beforeAll, expect, test } from "bun:test";
import { parse } from "yaml";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientResponse, request } from "../helpers/http.ts";
import { type EnvoyParts, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";
import { blocksOf } from "../static/doc-parts.ts";

/** The namespace of the example in the documents. */
const NAMESPACE = "policy_engine.denials";

const deny = (parameters: Record<string, unknown>) => ({ name: "deny", parameters });
const faulty = (how: string, more: Record<string, unknown> = {}) => ({
  name: "faulty",
  parameters: { how },
  ...more,
});
const routes = [
  { route: "fine", policies: [{ name: "tag", parameters: { label: "1" } }] },
  { route: "empty", policies: [] },
  { route: "denied", policies: [deny({ status: 401, reason: "no_token", body: "who?" })] },
  { route: "unreasoned", policies: [deny({ phase: "response", status: 451 })] },
  { route: "failing", policies: [faulty("throw")] },
  { route: "failing-late", policies: [faulty("throw-response")] },
  { route: "broken", policies: [faulty("create")] },
  {
    route: "open",
    policies: [
      faulty("throw", { failureMode: "open" }),
      faulty("reject", { failureMode: "open" }),
      { name: "tag", parameters: { label: "1" } },
    ],
  },
  {
    route: "condition",
    policies: [
      {
        name: "tag",
        parameters: { label: "1" },
        executionCondition: 'int(request.headers["x-number"]) > 1',
        conditionError: "skip",
      },
    ],
  },
  {
    route: "open-then-denied",
    policies: [faulty("throw", { failureMode: "open" }), deny({ reason: "no_token" })],
  },
  {
    route: "claimed",
    policies: [
      {
        name: "mutate",
        parameters: {
          request: { dynamicMetadata: { [NAMESPACE]: { reason: "forged", note: "a policy's" } } },
        },
      },
      deny({ whenHeader: "x-deny", reason: "true_reason" }),
    ],
  },
  { route: "body", policies: [{ name: "transform", parameters: { request: { see: "x-see" } } }] },
  { route: "dressed", policies: [faulty("throw"), { name: "on-denials" }] },
];

let stack: Stack;

beforeAll(async () => {
  const accessLog = await accessLogOfDocuments();
  stack = await startStack({
    routes,
    config: {
      onUnknownRoute: "deny",
      limits: { bodyBytes: "1KiB", bodyMemory: "1KiB" },
      denials: { format: "problem", metadataNamespace: NAMESPACE },
    },
    envoy: (parts) => useAccessLog(parts, { accessLog, namespace: NAMESPACE }),
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

/** What the documents tell users to put into Envoy's configuration. */
async function accessLogOfDocuments(): Promise<unknown> {
  const blocks = await blocksOf("docs/operations.md");
  return parse(blocks.find(({ path }) => path === "access-log.yaml")!.code).access_log;
}

function useAccessLog(
  { connectionManager, extProc }: EnvoyParts,
  { accessLog, namespace }: { accessLog: unknown; namespace: string | undefined },
): void {
  connectionManager.access_log = accessLog;
  // By it a test finds its line; else Envoy gives each request of a client an id of its own.
  connectionManager.preserve_external_request_id = true;
  if (namespace !== undefined) extProc.metadata_options.receiving_namespaces.untyped.push(namespace);
}

interface AccessLine {
  readonly route: string;
  readonly status: number;
  readonly details: string;
  readonly reason: string | null;
  readonly decision: Readonly<Record<string, unknown>> | null;
}

let sent = 0;

/** Sends a request and waits for its line in Envoy's access log. */
async function ask(
  path: string,
  options: { headers?: [string, string][]; method?: string; body?: string; envoy?: RunningEnvoy } = {},
): Promise<{ response: ClientResponse; line: AccessLine }> {
  const { headers = [], envoy = stack.envoy, ...rest } = options;
  const id = `request-${++sent}`;
  const response = await request(envoy.port, { path, headers: [["x-request-id", id], ...headers], ...rest });
  const find = () =>
    envoy
      .log()
      .split("\n")
      .find((text) => text.includes(`"request_id":"${id}"`));
  const line = await waitFor("line in the access log", find, { detail: () => envoy.log() });
  return { response, line: JSON.parse(line) as AccessLine };
}

function problemOf(response: ClientResponse): Record<string, unknown> {
  expect(response.header("content-type")).toBe("application/problem+json");
  return JSON.parse(response.text());
}

test("a policy's decision has its reason in the details and in the metadata, and its own body", async () => {
  const { response, line } = await ask("/denied");
  expect([response.status, response.header("content-type"), response.text()]).toEqual([
    401,
    "text/plain",
    "who?",
  ]);
  expect(line).toMatchObject({
    route: "denied",
    status: 401,
    details: "policy_engine:no_token:deny:v1.0.0",
    reason: "no_token",
    decision: { outcome: "denied", reason: "no_token", policy: "deny", version: "v1.0.0" },
  });
});

test("a decision in the response phase has one too", async () => {
  const { response, line } = await ask("/unreasoned");
  expect(response.status).toBe(451);
  expect(line.details).toBe("policy_engine:test_denied:deny:v1.0.0");
  expect(line.decision).toEqual({
    outcome: "denied",
    reason: "test_denied",
    policy: "deny",
    version: "v1.0.0",
  });
});

for (const route of ["failing", "failing-late"]) {
  test(`FR-052: RFC 9457: a failure (${route}) names reason and error id alike in the body, the metadata and the log`, async () => {
    const since = stack.engine.logs().length;
    const { response, line } = await ask(`/${route}`);
    const problem = problemOf(response);
    const errorId = String(problem.error_id);
    expect(errorId).toMatch(/^[0-9a-f]{16}$/);
    expect(problem).toEqual({
      type: "about:blank",
      title: "Internal Server Error",
      status: 500,
      reason: "policy_failed",
      error_id: errorId,
    });
    expect(line).toMatchObject({
      status: 500,
      details: "policy_engine:policy_failed:faulty:v1.0.0",
      decision: {
        outcome: "failed",
        reason: "policy_failed",
        policy: "faulty",
        version: "v1.0.0",
        error_id: errorId,
      },
    });
    const logged = await stack.engine.waitForLog(errorId, since);
    expect(logged.metadata).toMatchObject({
      policy: "faulty:v1.0.0",
      reason: "policy_failed",
      error_id: errorId,
      route,
    });
  });
}

test("a refusal without a policy names the reason alone", async () => {
  for (const [path, reason] of [
    ["/broken", "route_unavailable"],
    ["/nobody", "unknown_route"],
  ] as const) {
    const { response, line } = await ask(path);
    const problem = problemOf(response);
    expect(problem).toMatchObject({ title: "Service Unavailable", status: 503, reason });
    expect(line.details).toBe(`policy_engine:${reason}`);
    expect(line.decision).toEqual({ outcome: "failed", reason, error_id: problem.error_id });
  }
});

test("a body that is refused has a reason of its own, and the client's status", async () => {
  const { response, line } = await ask("/body", { method: "POST", body: "x".repeat(2_000) });
  expect(problemOf(response)).toMatchObject({
    title: "Payload Too Large",
    status: 413,
    reason: "body_too_large",
  });
  expect([line.status, line.details]).toEqual([413, "policy_engine:body_too_large"]);
  expect(line.decision).toMatchObject({ outcome: "failed", reason: "body_too_large" });
});

test("what passes leaves nothing", async () => {
  for (const path of ["/fine", "/empty"]) {
    const { response, line } = await ask(path);
    expect([response.status, line.details, line.reason, line.decision]).toEqual([
      200,
      "via_upstream",
      null,
      null,
    ]);
  }
});

test("FR-052: a request that passed without policies that fail open names them", async () => {
  const { response, line } = await ask("/open");
  expect([response.status, line.details]).toEqual([200, "via_upstream"]);
  expect(line.decision).toEqual({ failed_open: ["faulty:v1.0.0", "faulty:v1.0.0"] });
});

test("FR-015: a request that passed without a policy whose condition failed names it", async () => {
  expect((await ask("/condition", { headers: [["x-number", "1"]] })).line.decision).toBeNull();
  const { response, line } = await ask("/condition", { headers: [["x-number", "one"]] });
  expect([response.status, line.decision]).toEqual([200, { failed_open: ["tag:v1.0.0"] }]);
});

test("FR-052: a denial behind a policy that failed open has both", async () => {
  const { line } = await ask("/open-then-denied");
  expect(line.decision).toEqual({
    failed_open: ["faulty:v1.0.0"],
    outcome: "denied",
    reason: "no_token",
    policy: "deny",
    version: "v1.0.0",
  });
});

test("edge: a policy that writes into the namespace does not change the reason of a denial", async () => {
  const { line } = await ask("/claimed", { headers: [["x-deny", "1"]] });
  expect(line.decision).toEqual({
    note: "a policy's",
    outcome: "denied",
    reason: "true_reason",
    policy: "deny",
    version: "v1.0.0",
  });
});

test("RFC 9457: policies that apply to denials see and dress a problem document", async () => {
  const { response } = await ask("/dressed");
  expect(response.header("x-denied")).toBe("true");
  expect(problemOf(response)).toMatchObject({ status: 500, reason: "policy_failed" });
});

test("RFC 9457: HEAD gets the head of it only", async () => {
  const { response } = await ask("/broken", { method: "HEAD" });
  expect([response.status, response.text()]).toEqual([503, ""]);
});

test("edge: a gRPC client gets a failure as gRPC says it, with reason and error id", async () => {
  const { response } = await ask("/failing", {
    method: "POST",
    headers: [["content-type", "application/grpc"]],
  });
  expect([response.status, response.header("content-type")]).toEqual([200, "application/grpc"]);
  const message = decodeURIComponent(response.header("grpc-message") ?? "");
  expect(JSON.parse(message)).toMatchObject({ reason: "policy_failed", error_id: expect.any(String) });
});

test("edge: an Envoy that does not receive the namespace drops it, and nothing else", async () => {
  const accessLog = await accessLogOfDocuments();
  const envoy = await startEnvoyFor(stack, {
    routes,
    envoy: (parts) => useAccessLog(parts, { accessLog, namespace: undefined }),
  });
  try {
    const { response, line } = await ask("/denied", { envoy });
    expect([response.status, line.details, line.decision]).toEqual([
      401,
      "policy_engine:no_token:deny:v1.0.0",
      null,
    ]);
    const open = await ask("/open", { envoy });
    expect([open.response.status, open.line.decision]).toEqual([200, null]);
  } finally {
    await envoy.stop();
  }
});
