// Envoy's own gRPC health check of the engine, on the address of ext_proc.
import { afterEach, describe, expect, test } from "bun:test";
import * as grpc from "@grpc/grpc-js";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type RunningEngine, startEngine } from "../helpers/engine.ts";
import { type EnvoyParts, type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const ROUTES = [
  {
    route: "orders",
    policies: [
      { name: "tag", parameters: { label: "1" } },
      { name: "tag-response", parameters: { label: "a" } },
    ],
  },
];
const EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor";

let stack: Stack | undefined;
const toClose: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
  await stack?.stop();
  stack = undefined;
});

/** Has Envoy look at the engine's health many times a second; a service that is unknown is unhealthy. */
function checkHealth(service: string): (parts: EnvoyParts) => void {
  return ({ bootstrap }) => {
    const { clusters } = bootstrap.static_resources;
    const cluster = clusters.find(({ name }: { name: string }) => name === "policy_engine");
    cluster.health_checks = [
      {
        timeout: "5s",
        interval: "0.1s",
        no_traffic_interval: "0.1s",
        unhealthy_threshold: 1,
        healthy_threshold: 1,
        grpc_health_check: { service_name: service },
      },
    ];
    // Without healthy endpoints Envoy would try all of them.
    cluster.common_lb_config = { healthy_panic_threshold: { value: 0 } };
  };
}

async function checks(result: "success" | "failure"): Promise<number> {
  return (await stack!.envoy.stats(`policy_engine.health_check.${result}`)).values().next().value ?? 0;
}

describe("issue 6: Envoy's gRPC health check", () => {
  test.each(["", EXT_PROC])(
    "finds the engine healthy, asked for %j, and requests pass",
    async (service) => {
      stack = await startStack({ routes: ROUTES, envoy: checkHealth(service) });
      await waitFor("checks", async () => (await checks("success")) >= 3);
      expect(await checks("failure")).toBe(0);
      expect((await stack.get("/orders")).status).toBe(200);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "finds it unhealthy from SIGTERM on, while requests in flight still finish",
    async () => {
      const running = await startStack({ routes: ROUTES, envoy: checkHealth("") });
      stack = running;
      const healthy = async () =>
        (await running.envoy.stats("policy_engine.membership_healthy")).values().next().value;
      await waitFor("a healthy engine", async () => (await healthy()) === 1);
      const { promise: until, resolve: answer } = Promise.withResolvers<void>();
      running.upstream.on("/orders/slow", { until });
      const inFlight = running.get("/orders/slow");
      await waitFor("a request at the upstream", () => running.upstream.requests.length === 1);
      running.engine.signal("SIGTERM");
      await waitFor("an engine that is not healthy", async () => (await healthy()) === 0);
      answer();
      expect((await inFlight).header("x-trace")).toBe("a");
      expect(await running.engine.exited).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "finds a service unhealthy that the engine does not know, and sends it nothing",
    async () => {
      stack = await startStack({ routes: ROUTES, envoy: checkHealth("what") });
      await waitFor("checks", async () => (await checks("failure")) >= 1);
      expect(await checks("success")).toBe(0);
      expect((await stack.get("/orders")).status).toBe(500);
    },
    BUILD_TIMEOUT_MS,
  );
});

/** What grpc-js is told as long as it watches; then how that ended. */
function watch(engine: RunningEngine, service = ""): string[] {
  const client = new grpc.Client(engine.extProc, grpc.credentials.createInsecure());
  toClose.push(() => client.close());
  const request = Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
  const identity = (bytes: Buffer): Buffer => bytes;
  const call = client.makeServerStreamRequest(
    "/grpc.health.v1.Health/Watch",
    identity,
    identity,
    service === "" ? Buffer.alloc(0) : request,
  );
  const said: string[] = [];
  call.on("data", (bytes: Buffer) => said.push(STATES[bytes[1]!] ?? bytes.toString("hex")));
  call.on("error", () => {});
  call.on("status", ({ code }) => said.push(`status ${code}`));
  return said;
}

const STATES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

describe("issue 6: Watch", () => {
  test(
    "tells that an engine begins and stops to serve, and ends with it",
    async () => {
      const slow = [{ route: "hang", policies: [{ name: "faulty", parameters: { how: "hang" } }] }];
      const engine = await startEngine({
        link: "tcp",
        routes: slow,
        config: { limits: { createTimeout: "8s" } },
        untilReady: false,
      });
      toClose.push(() => engine.stop());
      await waitFor("a gRPC server", () => engine.output().includes("Starting gRPC server"));
      const said = [watch(engine), watch(engine, EXT_PROC), watch(engine, "what")];
      const detail = () => JSON.stringify(said);
      await waitFor("SERVING", () => said.every((each) => /^S/.test(each.at(-1) ?? "")), { detail });
      engine.signal("SIGTERM");
      expect(await engine.exited).toBe(0);
      await waitFor("the end", () => said.every((each) => each.at(-1) === "status 0"), { detail });
      const all = ["NOT_SERVING", "SERVING", "NOT_SERVING", "status 0"];
      expect(said).toEqual([all, all, ["SERVICE_UNKNOWN", "status 0"]]);
    },
    BUILD_TIMEOUT_MS,
  );
});
