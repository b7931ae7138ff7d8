import { expect, test } from "bun:test";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import { Child } from "../helpers/child.ts";
import { startEngine } from "../helpers/engine.ts";
import { load, request } from "../helpers/http.ts";
import { type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { startUpstream } from "../helpers/upstream.ts";
import { waitFor } from "../helpers/wait.ts";

const STREAMS = 20_000;

const routes = [
  {
    route: "both",
    policies: [
      { name: "tag", parameters: { label: "1" } },
      { name: "tag-response", parameters: { label: "a" } },
    ],
  },
  { route: "request", policies: [{ name: "tag", parameters: { label: "1" } }] },
];

async function withStack(use: (stack: Stack) => Promise<void>, config = {}): Promise<void> {
  const stack = await startStack({ routes, config });
  try {
    await use(stack);
  } finally {
    await stack.stop();
  }
}

test(
  `edge: ${STREAMS} streams pass over the connection that Envoy's one worker opens`,
  async () => {
    await withStack(async (stack) => {
      let wrong = 0;
      await load(stack.envoy.port, {
        count: STREAMS,
        connections: 16,
        request: () => ({ path: "/request" }),
        onResponse(response) {
          const right = response.status === 200 && response.echo().header("x-trace") === "1";
          if (!right) wrong += 1;
        },
      });
      expect(wrong).toBe(0);
      const stats = await stack.envoy.stats("cluster.policy_engine.upstream_");
      expect(stats.get("cluster.policy_engine.upstream_cx_total")).toBe(1);
      expect(stats.get("cluster.policy_engine.upstream_rq_total")).toBe(STREAMS);
      expect(stack.engine.logs().filter(({ level }) => level === "error")).toEqual([]);
      await waitFor(
        "end of all streams",
        async () => (await stack.engine.metric("policy_kernel_streams_active")) === 0,
      );
    });
  },
  BUILD_TIMEOUT_MS,
);

test(
  "edge: SIGTERM lets streams in flight finish, refuses to be ready meanwhile, and exits 0",
  async () => {
    await withStack(async (stack) => {
      const { promise: until, resolve: answer } = Promise.withResolvers<void>();
      stack.upstream.on("/both/slow", { until });
      const inFlight = Promise.all(Array.from({ length: 20 }, () => stack.get("/both/slow")));
      await waitFor("20 requests at the upstream", () => stack.upstream.requests.length === 20);
      stack.engine.signal("SIGTERM");
      await waitFor("an engine that is not ready", async () => !(await stack.engine.isReady()));
      answer();
      const responses = await inFlight;
      expect(responses.map(({ status }) => status)).toEqual(responses.map(() => 200));
      expect(responses.map((response) => response.header("x-trace"))).toEqual(responses.map(() => "a"));
      expect(await stack.engine.exited).toBe(0);
    });
  },
  BUILD_TIMEOUT_MS,
);

test(
  "edge: SIGTERM does not wait longer than limits.shutdownTimeout",
  async () => {
    await withStack(
      async (stack) => {
        const { promise: until, resolve: answer } = Promise.withResolvers<void>();
        stack.upstream.on("/both/slow", { until });
        const inFlight = stack.get("/both/slow").catch(() => undefined);
        await waitFor("request at the upstream", () => stack.upstream.requests.length === 1);
        stack.engine.signal("SIGTERM");
        expect(await stack.engine.exited).toBe(0);
        answer();
        // The response phase is lost with the engine: it must not pass as if no policy had been there.
        expect((await inFlight)?.header("x-trace") === undefined && (await inFlight)?.status === 200).toBe(
          false,
        );
      },
      { limits: { shutdownTimeout: "200ms" } },
    );
  },
  BUILD_TIMEOUT_MS,
);

test(
  "edge: SIGHUP rereads the routes where nothing is watched",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "policy-engine-routes-"));
    const path = join(folder, "routes.yaml");
    const text = (label: string) =>
      JSON.stringify({
        routes: [{ route: "both", policies: [{ name: "tag", version: "v1.0.0", parameters: { label } }] }],
      });
    await writeFile(path, text("before"));
    try {
      await withStack(
        async (stack) => {
          const trace = async () => (await stack.get("/both")).echo().header("x-trace");
          expect(await trace()).toBe("before");
          await writeFile(path, text("after"));
          stack.engine.signal("SIGHUP");
          await waitFor("the new routes", async () => (await trace()) === "after");
        },
        { routes: { path, watch: false } },
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  BUILD_TIMEOUT_MS,
);

test(
  "edge: before the first snapshot it lives, is not ready, answers 503 and can be ended",
  async () => {
    const upstream = await startUpstream();
    const hanging = [{ route: "hang", policies: [{ name: "faulty", parameters: { how: "hang" } }] }];
    const engine = await startEngine({
      routes: hanging,
      config: { limits: { createTimeout: "10m" } },
      untilReady: false,
    });
    await waitFor("a gRPC server", () => engine.output().includes("Starting gRPC server"));
    const envoy = await startEnvoyFor({ engine, upstream }, { routes: hanging });
    expect((await engine.get("/health/live")).status).toBe(200);
    expect((await engine.get("/health/ready")).status).toBe(503);
    for (const path of ["/hang", "/elsewhere"]) {
      const response = await request(envoy.port, { path });
      expect([response.status, response.text().split(" ")[0]]).toEqual([503, "not_ready"]);
    }
    expect(upstream.requests).toEqual([]);
    expect(await engine.stop()).toBe(0);
    await Promise.all([envoy.stop(), upstream.stop()]);
  },
  BUILD_TIMEOUT_MS,
);

test(
  "edge: a port in use ends the start with exit code 3 and one message that names it",
  async () => {
    const first = await startEngine({ routes });
    const second = await startEngine({
      routes,
      config: { extProc: { address: first.extProc } },
      untilReady: false,
    });
    expect(await second.exited).toBe(3);
    expect(second.output()).toContain(first.extProc);
    await second.stop();
    await first.stop();
  },
  BUILD_TIMEOUT_MS,
);

test(
  "edge: the executable alone in an empty folder, with an empty environment, serves",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "policy-engine-alone-"));
    try {
      const executable = join(folder, "policy-engine");
      await copyFile(await testEngine(), executable);
      const engine = await startEngine({ routes, executable });
      const version = new Child([executable, "version", "--json"], { cwd: folder, env: {} });
      expect([await version.exited, JSON.parse(version.output()).policies > 0]).toEqual([0, true]);
      expect((await readFile(executable)).length).toBeGreaterThan(1_000_000);
      expect(await engine.stop()).toBe(0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  BUILD_TIMEOUT_MS,
);

test(
  "memory that is freed is kept, unless the environment says otherwise",
  async () => {
    const settings = async (env: Record<string, string>): Promise<string[]> => {
      const engine = await startEngine({ routes, env });
      const environment = await readFile(`/proc/${engine.pid}/environ`, "utf8");
      expect(await engine.stop()).toBe(0);
      return environment.split("\0").filter((variable) => variable.startsWith("MIMALLOC_"));
    };
    expect(await settings({})).toEqual(["MIMALLOC_PURGE_DELAY=-1"]);
    expect(await settings({ MIMALLOC_PURGE_DELAY: "10" })).toEqual(["MIMALLOC_PURGE_DELAY=10"]);
  },
  BUILD_TIMEOUT_MS,
);

test(
  "US5.4: a request goes through a custom policy that the builder compiled in",
  async () => {
    await withStack(async (stack) => {
      const response = await stack.get("/both");
      expect([response.echo().header("x-trace"), response.header("x-trace")]).toEqual(["1", "a"]);
      const policies = new Child([await testEngine(), "policies", "--json"]);
      expect(await policies.exited).toBe(0);
      expect(policies.output()).toContain('"tag-response"');
    });
  },
  BUILD_TIMEOUT_MS,
);
