import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientRequest, type ClientResponse, request } from "../helpers/http.ts";
import { type Base, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";

const BASES: readonly Base[] = ["wide", "narrow", "forbidden"];

const routes: RouteSpec[] = [
  {
    route: "both",
    policies: [
      { name: "tag", parameters: { label: "1" } },
      { name: "tag-response", parameters: { label: "a" } },
    ],
  },
  { route: "request", policies: [{ name: "tag", parameters: { label: "1" } }] },
  { route: "response", policies: [{ name: "tag-response", parameters: { label: "a" } }] },
  {
    route: "deny",
    policies: [{ name: "deny", parameters: { whenHeader: "x-deny" } }, { name: "on-denials" }],
  },
  { route: "deny-response", policies: [{ name: "deny", parameters: { phase: "response", status: 403 } }] },
  { route: "status", policies: [{ name: "mutate", parameters: { response: { status: 418 } } }] },
  { route: "path", policies: [{ name: "mutate", parameters: { request: { path: "/p", method: "PUT" } } }] },
  { route: "faulty", policies: [{ name: "faulty", parameters: { how: "throw" } }] },
  { route: "faulty-response", policies: [{ name: "faulty", parameters: { how: "throw-response" } }] },
  { route: "never-valid", policies: [{ name: "checked" }] },
  { route: "empty", policies: [] },
];

const requests: ClientRequest[] = routes.flatMap(({ route }) => [
  { path: `/${route}` },
  { path: `/${route}/x?y=z`, headers: [["x-deny", "1"]] },
  { path: `/${route}`, method: "POST", body: "some body" },
  { path: `/${route}`, method: "POST", body: "chunked", trailers: [["x-after", "t"]] },
  { path: `/${route}`, method: "HEAD" },
]);

let stack: Stack;
const envoys = new Map<Base, RunningEnvoy>();

beforeAll(async () => {
  stack = await startStack({ routes });
  envoys.set("wide", stack.envoy);
  for (const base of BASES.slice(1)) envoys.set(base, await startEnvoyFor(stack, { routes, base }));
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await Promise.all([...envoys.values()].map((envoy) => envoy.stop()));
  await stack?.stop();
});

/** What the client and the upstream got, without what differs from one exchange to the next. */
async function decide(base: Base, sent: ClientRequest): Promise<unknown> {
  stack.upstream.forget();
  const response: ClientResponse = await request(envoys.get(base)?.port ?? 0, sent);
  const [seen] = stack.upstream.requests;
  const varying = /^(x-request-id|x-envoy-.*|date|content-length|x-forwarded-.*)$/;
  return {
    status: response.status,
    headers: response.headers.filter(([name]) => !varying.test(name)),
    body:
      response.status === 500 || response.status === 503 ? response.text().split(" ")[0] : decision(response),
    upstream: seen && {
      start: `${seen.method} ${seen.path}`,
      headers: seen.headers.filter(([name]) => !varying.test(name)).toSorted(),
      body: seen.body,
    },
  };
}

/** An echo contains the varying headers; what it says is compared as the upstream saw it. */
function decision(response: ClientResponse): string {
  return response.header("content-type") === "application/json" ? "echo" : response.text();
}

for (const sent of requests) {
  const name = `${sent.method ?? "GET"} ${sent.path}${sent.trailers === undefined ? "" : " with trailers"}`;
  test(`edge: every base decides the same: ${name}`, async () => {
    const wide = await decide("wide", sent);
    expect(await decide("narrow", sent)).toEqual(wide);
    expect(await decide("forbidden", sent)).toEqual(wide);
  });
}

test("edge: the decisions are not all the same one", async () => {
  const statuses = new Set<unknown>();
  for (const sent of requests) statuses.add(((await decide("wide", sent)) as { status: number }).status);
  expect([...statuses].toSorted()).toEqual([200, 403, 418, 500, 503]);
});
