import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { request } from "../helpers/http.ts";
import { type EnvoyParts, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const dynamicMetadata = (key: string) => ({ policy_engine: { [key]: "kept" } });
/** Names that a header, a split or an object's prototype could get wrong. */
const NAMES = ["žluť", "a,b", "a b", "x".repeat(900), "__proto__", "constructor"];
const routes = [
  ...NAMES.map((route) => ({ route, policies: [{ name: "tag", parameters: { label: "1" } }] })),
  {
    route: "metadata",
    policies: [
      { name: "mutate", parameters: { request: { dynamicMetadata: dynamicMetadata("first") } } },
      { name: "mutate", parameters: { request: { dynamicMetadata: dynamicMetadata("second") } } },
    ],
  },
  {
    route: "denied",
    policies: [
      { name: "mutate", parameters: { request: { dynamicMetadata: dynamicMetadata("first") } } },
      { name: "deny", parameters: { reason: "quota_exceeded", status: 429, body: "slow down" } },
    ],
  },
  {
    route: "answered",
    policies: [{ name: "mutate", parameters: { response: { setHeaders: { "x-seen": "1" } } } }],
  },
  { route: "failed", policies: [{ name: "faulty", parameters: { how: "throw" } }] },
];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes, envoy: showWhatEnvoyKnows });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

/** Envoy writes into response headers what it was told beside the changes. */
function showWhatEnvoyKnows({ connectionManager }: EnvoyParts): void {
  const facts = {
    "x-first": "%DYNAMIC_METADATA(policy_engine:first)%",
    "x-second": "%DYNAMIC_METADATA(policy_engine:second)%",
    "x-details": "%RESPONSE_CODE_DETAILS%",
  };
  connectionManager.route_config.response_headers_to_add = Object.entries(facts).map(([key, value]) => {
    return { header: { key, value } };
  });
}

test("FR-008: a route's name may have any characters", async () => {
  for (const name of NAMES) {
    const response = await stack.get(`/${encodeURIComponent(name)}`);
    expect([response.status, response.echo().header("x-trace")]).toEqual([200, "1"]);
  }
});

test("A10: dynamic metadata of several policies reaches Envoy, merged", async () => {
  const response = await stack.get("/metadata");
  expect([response.status, response.header("x-first"), response.header("x-second")]).toEqual([
    200,
    "kept",
    "kept",
  ]);
});

test("A6: a denial tells Envoy its reason and its policy; metadata comes with it", async () => {
  const response = await stack.get("/denied");
  expect(response.header("x-details")).toBe("policy_engine:quota_exceeded:deny:v1.0.0");
  expect([response.status, response.text(), response.header("x-first")]).toEqual([429, "slow down", "kept"]);
});

test("A6: so does a failure", async () => {
  const response = await stack.get("/failed");
  expect(response.header("x-details")).toBe("policy_engine:policy_failed:faulty:v1.0.0");
});

test("A13: an Envoy that only lets us watch is neither answered nor held up", async () => {
  const envoy = await startEnvoyFor(stack, {
    routes,
    envoy({ extProc }) {
      extProc.observability_mode = true;
      extProc.processing_mode = { request_header_mode: "SEND", response_header_mode: "SEND" };
    },
  });
  try {
    const denied = { policy: "deny:v1.0.0", status: "denied" };
    const before = await stack.engine.metric("policy_worker_executions_total", denied);
    expect((await request(envoy.port, { path: "/denied" })).status).toBe(200);
    await waitFor("a policy that watched", async () => {
      return (await stack.engine.metric("policy_worker_executions_total", denied)) === before + 1;
    });
    // Envoy lists only what it has counted.
    const stats = [...(await envoy.stats("ext_proc"))].map(([name]) => name.split(".").at(-1));
    expect(stats).toContain("stream_msgs_sent");
    expect(stats).not.toContain("stream_msgs_received");
    expect(stats).not.toContain("spurious_msgs_received");
  } finally {
    await envoy.stop();
  }
});

test("A18.19: an answer of Envoy's own passes no response policy", async () => {
  const envoy = await startEnvoyFor(stack, {
    routes,
    envoy({ connectionManager }) {
      const local = { name: "answered", match: { path: "/local" }, direct_response: { status: 418 } };
      connectionManager.route_config.virtual_hosts[0]?.routes.unshift(local);
    },
  });
  try {
    const local = await request(envoy.port, { path: "/local" });
    expect([local.status, local.header("x-seen")]).toEqual([418, undefined]);
    expect((await request(envoy.port, { path: "/answered" })).header("x-seen")).toBe("1");
  } finally {
    await envoy.stop();
  }
});

test("A18.24: a change that Envoy refuses is a 500, also where Envoy is told to fail open", async () => {
  const envoy = await startEnvoyFor(stack, {
    routes,
    envoy({ extProc }) {
      extProc.failure_mode_allow = true;
      extProc.mutation_rules = { disallow_all: true, disallow_is_error: true };
    },
  });
  try {
    expect((await request(envoy.port, { path: `/${NAMES[5]}` })).status).toBe(500);
  } finally {
    await envoy.stop();
  }
});
