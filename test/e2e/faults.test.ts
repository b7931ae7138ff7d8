// Faults of every kind, injected through the real Envoy among requests to healthy routes: those get exactly their own
// answers, and what the log and the metrics tell adds up to what was injected.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { LogLine, PolicySpec, RouteSpec } from "../helpers/engine.ts";
import { type ClientResponse, HttpConnection, load } from "../helpers/http.ts";
import { Random } from "../helpers/random.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const EXCHANGES = 2_000;
const CONNECTIONS = 24;
/** Every second request goes to a healthy route. */
const HEALTHY_SHARE = 0.5;
const RELOADS = 5;
const POLICY = "faulty:v1.0.0";

/** A fault: how it is injected, what the client sees, and under which reason it is counted and told. */
interface Fault {
  readonly route: string;
  readonly how: string;
  readonly more?: Partial<PolicySpec>;
  /** 200: left out or harmless. */
  readonly status: 200 | 500;
  readonly body?: string | undefined;
  /** The label of the metric, and the reason in the log; none for what is no failure. */
  readonly counted?: string;
  readonly told?: string;
}

const failed = { status: 500, body: "policy_failed", counted: "on_request", told: "policy_failed" } as const;
const timedOut = { status: 500, body: "policy_timeout", counted: "timeout", told: "policy_timeout" } as const;
const leftOut = { status: 200, more: { failureMode: "open" }, body: undefined } as const;
const QUICK = { timeout: "30ms" };

const FAULTS: readonly Fault[] = [
  { route: "throw", how: "throw", ...failed },
  { route: "reject", how: "reject-later", ...failed },
  { route: "nonsense", how: "nonsense", ...failed },
  { route: "half", how: "half", ...failed },
  { route: "throw-late", how: "throw-response", ...failed, counted: "on_response" },
  { route: "hang", how: "hang-request", ...timedOut, more: QUICK },
  { route: "hang-late", how: "hang-response", ...timedOut, more: QUICK },
  { route: "late", how: "late", ...timedOut, more: QUICK },
  { route: "open-throw", how: "throw", ...failed, ...leftOut },
  { route: "open-half", how: "half", ...failed, ...leftOut },
  { route: "open-late", how: "late", ...timedOut, ...leftOut, more: { ...QUICK, failureMode: "open" } },
  { route: "block", how: "block", status: 200 },
  { route: "writes", how: "leak-writes", status: 200 },
  { route: "leak", how: "leak-rejection", status: 200, counted: "stray_rejection", told: "stray_rejection" },
  { route: "burst", how: "leak-exception", status: 200, counted: "stray_exception", told: "stray_exception" },
];

function routes(reload: number): RouteSpec[] {
  const healthy = ["a", "b", "c"].map((name) => ({
    route: `healthy-${name}`,
    policies: [
      { name: "tag", parameters: { label: name } },
      { name: "tag-response", parameters: { label: name } },
      { name: "recall", parameters: { key: "half", header: "x-half" } },
    ],
  }));
  const faulty = FAULTS.map(({ route, how, more }) => ({
    route,
    policies: [
      { name: "faulty", parameters: { how, forMs: 60 }, ...more },
      { name: "tag", parameters: { label: route } },
      { name: "recall", parameters: { key: "leaked", header: "x-leaked" } },
    ],
  }));
  // Changed parameters make another instance, and the one before fails in its close.
  const closing = { name: "faulty", parameters: { how: "close", whenHeader: `x-${reload}` } };
  return [...healthy, ...faulty, { route: "closing", policies: [closing] }];
}

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes: routes(0) });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test("edge: healthy routes never notice what others do, and all of it is counted and told", async () => {
  const random = new Random(1);
  const plan = Array.from({ length: EXCHANGES }, (_, index) => {
    const fault = random.chance(HEALTHY_SHARE) ? undefined : FAULTS[index % FAULTS.length]!;
    return { fault, name: "abc"[index % 3]! };
  });
  const wrong: string[] = [];
  let done = false;
  const reloading = reload(() => done);
  await load(stack.envoy.port, {
    count: EXCHANGES,
    connections: CONNECTIONS,
    request: (index) => {
      const { fault, name } = plan[index]!;
      return { path: `/${fault?.route ?? `healthy-${name}`}/${index}`, headers: [["x-index", `${index}`]] };
    },
    onResponse(response, index) {
      const { fault, name } = plan[index]!;
      const [expected, seen] =
        fault === undefined ? healthy(response, { name, index }) : faulty(response, { fault, index });
      if (!Bun.deepEquals(expected, seen)) wrong.push(`${index}: ${JSON.stringify({ expected, seen })}`);
    },
  }).finally(() => {
    done = true;
  });
  const closed = (await reloading) + (await cancelSome());

  expect(wrong.slice(0, 5)).toEqual([]);
  const injected = plan.flatMap(({ fault }) => fault ?? []);
  for (const [key, of] of [
    ["counted", counted],
    ["told", told],
  ] as const) {
    const sums = sumBy(injected, key);
    for (const [reason, count] of sums) {
      await waitFor(`${count} of ${reason} ${key}`, async () => (await of(reason)) >= count, {
        detail: () => stack.engine.output().slice(-2_000),
      });
      expect([reason, await of(reason)]).toEqual([reason, count]);
    }
  }
  await waitFor("closed instances", () => closings().length >= closed);
  expect(closings()).toHaveLength(closed);
  expect(closings()[0]?.metadata).toMatchObject({ policy: POLICY, route: "closing" });
  await waitFor("end of every stream", async () => {
    return (await stack.engine.metric("policy_kernel_streams_active")) === 0;
  });
  expect((await stack.engine.get("/health/ready")).status).toBe(200);
});

test("edge: at the end what was left out of the log is told too, and the process ends in order", async () => {
  const before = told("policy_failed");
  await load(stack.envoy.port, {
    count: 200,
    connections: CONNECTIONS,
    request: () => ({ path: "/throw" }),
    onResponse: (response) => expect(response.status).toBe(500),
  });
  stack.engine.signal("SIGTERM");
  expect(await stack.engine.exited).toBe(0);
  expect(told("policy_failed") - before).toBe(200);
});

type Compared = readonly [expected: unknown, seen: unknown];

function healthy(response: ClientResponse, { name, index }: { name: string; index: number }): Compared {
  const expected = [200, `/healthy-${name}/${index}`, `${index}`, name, name, "undefined"];
  if (response.status !== 200) return [expected, [response.status, response.text()]];
  const echo = response.echo();
  const sent = [echo.path, echo.header("x-index"), echo.header("x-trace")];
  return [expected, [200, ...sent, response.header("x-trace"), response.header("x-half")]];
}

function faulty(response: ClientResponse, { fault, index }: { fault: Fault; index: number }): Compared {
  const { status, route, body } = fault;
  if (status === 500 || response.status !== 200) {
    return [
      [status, body],
      [response.status, response.text().split(" ")[0]],
    ];
  }
  // What the policy behind it did, and nothing of what the faulty one tried.
  const echo = response.echo();
  return [
    [`/${route}/${index}`, route, undefined, "undefined"],
    [echo.path, echo.header("x-trace"), echo.header("x-marked"), response.header("x-leaked")],
  ];
}

/** Replaces the instance that fails in its close, time and again; returns how often. */
async function reload(done: () => boolean): Promise<number> {
  let reloads = 0;
  while (!done() || reloads < RELOADS) {
    reloads += 1;
    await stack.engine.writeRoutes(routes(reloads));
    const key = `x-${reloads}`;
    await waitFor("new routes", async () =>
      (await (await stack.engine.getAdmin("/config")).text()).includes(key),
    );
  }
  return reloads;
}

/** Clients that go away while hooks work: neither a failure nor a line. Replaces one more instance. */
async function cancelSome(): Promise<number> {
  const cancelled = () => stack.engine.metric("policy_kernel_requests_total", { status: "cancelled" });
  const before = await cancelled();
  await stack.engine.writeRoutes([
    ...routes(0).filter(({ route }) => route !== "closing"),
    { route: "closing", policies: [{ name: "faulty", parameters: { how: "hang-request" } }] },
  ]);
  await waitFor("hooks that hang", async () => {
    return (await (await stack.engine.getAdmin("/config")).text()).match(/hang-request/g)?.length === 2;
  });
  const connections = await Promise.all(
    Array.from({ length: 20 }, () => HttpConnection.open(stack.envoy.port)),
  );
  for (const connection of connections) connection.write("GET /closing HTTP/1.1\r\nhost: a\r\n\r\n");
  await waitFor(
    "hooks at work",
    async () => (await stack.engine.metric("policy_kernel_streams_active")) >= 20,
  );
  for (const connection of connections) connection.close();
  await waitFor("cancelled exchanges", async () => (await cancelled()) - before === 20);
  return 1;
}

function sumBy(faults: readonly Fault[], key: "counted" | "told"): Map<string, number> {
  const sums = new Map<string, number>();
  for (const fault of faults) {
    const reason = fault[key];
    if (reason !== undefined) sums.set(reason, (sums.get(reason) ?? 0) + 1);
  }
  return sums;
}

function counted(reason: string): Promise<number> {
  return stack.engine.metric("policy_worker_policy_failures_total", { policy: POLICY, reason });
}

/** Lines of a reason, and those that were left out because there were so many. */
function told(reason: string): number {
  return stack.engine
    .logs()
    .filter(({ metadata }) => metadata?.policy === POLICY && metadata.reason === reason)
    .reduce((sum, line) => sum + linesOf(line), 0);
}

function linesOf({ metadata }: LogLine): number {
  const { suppressed } = metadata ?? {};
  return typeof suppressed === "number" ? suppressed : 1;
}

function closings(): LogLine[] {
  return stack.engine.logs().filter((line) => JSON.stringify(line).includes("close failed on purpose"));
}
