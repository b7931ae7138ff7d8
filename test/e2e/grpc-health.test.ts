// Envoy's own gRPC health check of the engine, on the address of ext_proc.
import { afterEach, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type EnvoyParts, type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const ROUTES = [{ route: "orders", policies: [{ name: "tag", parameters: { label: "1" } }] }];
const EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor";

let stack: Stack | undefined;
afterEach(async () => {
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
