// Addresses as the real Envoy tells them: of the connection, and what it appends to x-forwarded-for.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { request } from "../helpers/http.ts";
import { type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";

const list = (route: string, parameters: Record<string, unknown>) => ({
  route,
  policies: [{ name: "ip-allow-list", version: "v1.0.0", parameters }],
});
/** Every address of this host. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ scopeid }) => (scopeid ?? 0) === 0).map(({ address }) => address);
}

const ROUTES = [
  list("local", { allow: ["127.0.0.0/8"] }),
  list("mapped", { allow: ["::ffff:127.0.0.0/104"] }),
  list("remote", { allow: ["203.0.113.0/24"] }),
  list("denied", { deny: ["127.0.0.1"] }),
  // Envoy appends its own peer, and in the place of a peer on loopback an address of its own host.
  list("hops", { allow: ["203.0.113.0/24"], addressFrom: "x-forwarded-for", trustedHops: 2 }),
  list("proxies", {
    allow: ["203.0.113.0/24"],
    addressFrom: "x-forwarded-for",
    trustedProxies: ["127.0.0.0/8", ...ownAddresses()],
  }),
];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes: ROUTES });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

const statusOf = async (path: string, forwarded?: string) =>
  (await stack.get(path, forwarded === undefined ? [] : [["x-forwarded-for", forwarded]])).status;

test("the connection's address decides, whatever a header claims", async () => {
  expect([await statusOf("/local"), await statusOf("/mapped")]).toEqual([200, 200]);
  expect([await statusOf("/remote"), await statusOf("/denied")]).toEqual([403, 403]);
  expect([await statusOf("/remote", "203.0.113.9"), await statusOf("/denied", "203.0.113.9")]).toEqual([
    403, 403,
  ]);
  stack.upstream.forget();
  await statusOf("/remote");
  expect(stack.upstream.requests).toEqual([]);
});

test("x-forwarded-for counts from the right: what a client forges does not decide", async () => {
  for (const path of ["/hops", "/proxies"]) {
    expect([path, await statusOf(path, "203.0.113.9")]).toEqual([path, 200]);
    expect([path, await statusOf(path, "198.51.100.1, 203.0.113.9")]).toEqual([path, 200]);
    expect([path, await statusOf(path, "203.0.113.9, 198.51.100.1")]).toEqual([path, 403]);
    expect([path, await statusOf(path, "unknown")]).toEqual([path, 403]);
    expect([path, await statusOf(path)]).toEqual([path, 403]);
    const lines = ["203.0.113.9", "198.51.100.1"].map((address) => ["x-forwarded-for", address] as const);
    expect([path, (await stack.get(path, lines)).status]).toEqual([path, 403]);
    expect([path, (await stack.get(path, lines.toReversed())).status]).toEqual([path, 200]);
  }
});

test("an address that Envoy does not tell does not pass", async () => {
  const silent = await startEnvoyFor(stack, {
    routes: ROUTES,
    envoy: ({ extProc }) => {
      extProc.request_attributes = ["xds.route_name"];
    },
  });
  try {
    const { status } = await request(silent.port, { path: "/local" });
    expect(status).toBe(403);
  } finally {
    await silent.stop();
  }
});

test("edge: without use_remote_address Envoy tells the address that a client wrote, of which validate warns", async () => {
  const trusting = await startEnvoyFor(stack, {
    routes: ROUTES,
    envoy: ({ connectionManager }) => {
      connectionManager.use_remote_address = undefined;
    },
  });
  try {
    const headers = [["x-forwarded-for", "203.0.113.9"]] as const;
    const { status } = await request(trusting.port, { path: "/remote", headers });
    expect(status).toBe(200);
  } finally {
    await trusting.stop();
  }
});

test("metrics count who was refused", async () => {
  const before = await stack.engine.metric("policy_kernel_requests_total", {
    route: "remote",
    status: "denied",
  });
  await statusOf("/remote");
  expect(
    await stack.engine.metric("policy_kernel_requests_total", { route: "remote", status: "denied" }),
  ).toBe(before + 1);
});
