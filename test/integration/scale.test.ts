// 50 policy versions and 1,000 routes of 10 policies in one executable. The limits stand exactly at what is
// configured, so that one more of each shows what a limit says.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS, PROJECT } from "../helpers/build.ts";
import { Child } from "../helpers/child.ts";
import { type RouteSpec, startEngine } from "../helpers/engine.ts";
import { load } from "../helpers/http.ts";
import { Stack, startEnvoyFor } from "../helpers/stack.ts";
import { startUpstream } from "../helpers/upstream.ts";
import { waitFor } from "../helpers/wait.ts";
import { peakMemory, seconds } from "./scale-figures.ts";
import { POLICIES, policyName, REFUSED_LABEL, VERSIONS, writePolicies } from "./scale-policies.ts";
import { expectedTraces, ROUTES, routeName, scaleRoute, scaleRoutes, tracesOf } from "./scale-routes.ts";

const CONNECTIONS = 8;
/** Requests that are under way while one route changes: each route is asked for three times. */
const DURING_CHANGE = 3 * ROUTES;
const CHANGED = 417;
/** What 003 allows the whole engine. */
const MAX_MEMORY_BYTES = 1024 ** 3;

const routes = scaleRoutes();
const figures: string[] = [];
let folder: string;
let executable: string;
let stack: Stack;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "policy-engine-scale-"));
  executable = await build(await writePolicies(join(folder, "policies")));
  const config = { limits: { routes: ROUTES, policiesPerRoute: POLICIES } };
  const begun = performance.now();
  const engine = await startEngine({ executable, routes, config });
  figures.push(`start to ready ${seconds(begun)}`);
  const upstream = await startUpstream();
  stack = new Stack({ engine, upstream, envoy: await startEnvoyFor({ engine, upstream }, { routes }) });
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
});

test(`FR-034: ${POLICIES * VERSIONS.length} policy versions are compiled into one executable`, async () => {
  const child = new Child([executable, "policies", "--json"]);
  expect(await child.exited).toBe(0);
  const { policies } = JSON.parse(child.output()) as { policies: { name: string; version: string }[] };
  const expected = Array.from({ length: POLICIES }, (_, policy) =>
    VERSIONS.map((version) => `${policyName(policy)} ${version}`),
  ).flat();
  expect(policies.map(({ name, version }) => `${name} ${version}`)).toEqual(expected);
  expect(JSON.stringify(policies)).not.toContain('"error"');
});

test(`FR-004: each of ${ROUTES} routes runs its ${POLICIES} policies in its own order, versions and parameters`, async () => {
  const wrong = await requestAll(ROUTES, (route) => [expectedTraces(route)]);
  expect(wrong).toEqual([]);
});

test("FR-011: one of the routes changes, and no other answers differently meanwhile", async () => {
  const since = stack.engine.logs().length;
  const changed = replaceRoute(CHANGED, scaleRoute(CHANGED, "second"));
  const begun = performance.now();
  const change = async (): Promise<void> => {
    await stack.engine.writeRoutes(changed);
    await waitFor("changed route", async () => {
      const traces = tracesOf(await stack.get(`/${routeName(CHANGED)}`));
      return Bun.deepEquals(traces, expectedTraces(CHANGED, "second"));
    });
    figures.push(`a changed route is live after ${seconds(begun)}`);
  };
  const both = (route: number) =>
    route === CHANGED ? [expectedTraces(route), expectedTraces(route, "second")] : [expectedTraces(route)];
  const [wrong] = await Promise.all([requestAll(DURING_CHANGE, both), change()]);
  expect(wrong).toEqual([]);
  const applied = await stack.engine.waitForLog("Applied configuration", since);
  expect(applied.metadata).toMatchObject({ active: ROUTES, added: 0, changed: 1, removed: 0, problems: 0 });
});

test("edge: one route more than limits.routes: nothing is taken over, and the log says why", async () => {
  await refused([...routes, scaleRoute(ROUTES)], {
    message: `Cannot use ${ROUTES + 1} routes: at most ${ROUTES} are allowed`,
    hint: 'The limit is "limits.routes" of the engine\'s configuration',
    end: "Rejected configuration: the last good one stays",
  });
});

test("edge: one policy more than limits.policiesPerRoute: that route keeps its chain, and the log says why", async () => {
  const { policies } = scaleRoute(CHANGED);
  await refused(
    replaceRoute(CHANGED, { route: routeName(CHANGED), policies: [...policies, ...policies.slice(0, 1)] }),
    {
      message: `Cannot use ${POLICIES + 1} policies on one route: at most ${POLICIES} are allowed`,
      hint: 'The limit is "limits.policiesPerRoute" of the engine\'s configuration',
      end: "Rejected configuration: the last good one stays",
    },
  );
});

test("US8: what a policy's own validate refuses in one of the routes is told with its place", async () => {
  const { route, policies } = scaleRoute(CHANGED);
  const spoiled = policies.map((policy) => ({ ...policy, parameters: { label: REFUSED_LABEL } }));
  await refused(replaceRoute(CHANGED, { route, policies: spoiled }), {
    message: /routes\.yaml:\d+:\d+: .*label is refused by scale-[a-j] v\d\.\d\.0/,
    end: "Rejected configuration: the last good one stays",
  });
});

test(`edge: all of it stays under ${MAX_MEMORY_BYTES / 1024 ** 2} MiB and stops cleanly`, async () => {
  const peak = await peakMemory(stack.engine.pid);
  figures.push(`peak memory ${Math.round(peak / 1024 ** 2)} MiB`);
  console.log(`Scale: ${figures.join(", ")}`);
  expect(peak).toBeGreaterThan(0);
  expect(peak).toBeLessThan(MAX_MEMORY_BYTES);
  expect(await stack.engine.stop()).toBe(0);
});

async function build(manifest: string): Promise<string> {
  const begun = performance.now();
  const output = join(folder, "out");
  const builder = join(PROJECT, "node_modules/.bin/policy-builder");
  const child = new Child([builder, "build", "--manifest", manifest, "--output", output]);
  if ((await child.exited) !== 0) throw new Error(`Cannot build the policies\n${child.output()}`);
  const path = join(output, "policy-engine");
  figures.push(`build ${seconds(begun)}`, `executable ${(Bun.file(path).size / 1024 ** 2).toFixed(1)} MiB`);
  return path;
}

/** Asks for the routes in turn; gives what was not among what a route may answer. */
async function requestAll(count: number, allowed: (route: number) => readonly object[]): Promise<object[]> {
  const wrong: object[] = [];
  let answered = 0;
  await load(stack.envoy.port, {
    count,
    connections: CONNECTIONS,
    request: (index) => ({ path: `/${routeName(index % ROUTES)}` }),
    onResponse(response, index) {
      answered += 1;
      const route = index % ROUTES;
      const traces = tracesOf(response);
      if (!allowed(route).some((expected) => Bun.deepEquals(expected, traces))) wrong.push({ route, traces });
    },
  });
  expect(answered).toBe(count);
  return wrong;
}

/** Writes routes that cannot be applied: the log must say so, and every route must serve what it served. */
async function refused(
  spoiled: readonly RouteSpec[],
  expected: { readonly message: string | RegExp; readonly hint?: string; readonly end: string },
): Promise<void> {
  const since = stack.engine.logs().length;
  await stack.engine.writeRoutes(spoiled);
  await stack.engine.waitForLog(expected.end, since);
  const errors = stack.engine
    .logs()
    .slice(since)
    .filter(({ level, message }) => level === "error" && message !== expected.end);
  expect(errors.length).toBeGreaterThan(0);
  for (const { message, metadata } of errors) {
    expect(message).toMatch(expected.message);
    if (expected.hint !== undefined) expect(metadata?.hint).toBe(expected.hint);
  }
  const last = (route: number) => [expectedTraces(route, route === CHANGED ? "second" : "first")];
  expect(await requestAll(ROUTES, last)).toEqual([]);
}

function replaceRoute(index: number, route: RouteSpec): RouteSpec[] {
  return routes.with(index, route);
}
