import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type EngineOptions, startEngine } from "../helpers/engine.ts";
import { type EnvoyParts, type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const tagged = (route: string, label = "1") => ({
  route,
  policies: [{ name: "tag", parameters: { label } }],
});
const broken = (route: string) => ({ route, policies: [{ name: "tag", parameters: {} }] });
const refused = (route: string, policy: object) => ({
  route,
  policies: [{ name: "tag", parameters: { label: "1" }, ...policy }],
});

async function trace(stack: Stack, path: string): Promise<string | undefined> {
  const response = await stack.get(path);
  return response.status === 200 ? response.echo().header("x-trace") : `status ${response.status}`;
}

describe("what the engine knows of a route decides", () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({
      routes: [
        tagged("chain"),
        { route: "empty", policies: [] },
        { route: "disabled", policies: [{ name: "tag", enabled: false, parameters: { label: "1" } }] },
        broken("never-valid"),
        refused("mode", { failureMode: "ajar" }),
        refused("timeout", { timeout: "2h" }),
      ],
    });
  }, BUILD_TIMEOUT_MS);

  afterAll(() => stack?.stop());

  test("FR-008: a chain runs", async () => {
    expect(await trace(stack, "/chain")).toBe("1");
  });

  test("edge: Policy chain empty: the request passes unchanged", async () => {
    expect(await trace(stack, "/empty")).toBeUndefined();
    expect(await trace(stack, "/disabled")).toBeUndefined();
  });

  test("edge: a route that was never valid answers 503 with a reason", async () => {
    const response = await stack.get("/never-valid");
    expect([response.status, response.text().split(" ")[0]]).toEqual([503, "route_unavailable"]);
  });

  test("edge: a route nobody configured passes by default", async () => {
    expect((await stack.get("/somewhere")).status).toBe(200);
  });

  for (const [route, pointer] of [
    ["mode", "/routes/4/policies/0/failureMode"],
    ["timeout", "/routes/5/policies/0/timeout"],
  ] as const) {
    test(`edge: what cannot be is an error of the route that says so: ${route}`, async () => {
      expect((await stack.get(`/${route}`)).status).toBe(503);
      expect((await stack.engine.waitForLog(pointer)).level).toBe("error");
    });
  }

  test("edge: ready, as a snapshot is applied, though some routes are not", async () => {
    expect((await stack.engine.get("/health/ready")).status).toBe(200);
  });
});

describe("where the operator decides otherwise", () => {
  test("edge: onUnknownRoute: deny answers 503", async () => {
    await withStack({ routes: [tagged("chain")], config: { onUnknownRoute: "deny" } }, async (stack) => {
      expect((await stack.get("/somewhere")).text()).toStartWith("unknown_route");
      expect((await stack.get("/somewhere")).status).toBe(503);
      expect(await trace(stack, "/chain")).toBe("1");
    });
  });

  test("edge: a request that names no route is denied", async () => {
    await withStack({ routes: [tagged("chain")], envoy: nameless }, async (stack) => {
      const response = await stack.get("/chain", [["x-route-name", "chain"]]);
      expect([response.status, response.text().split(" ")[0]]).toEqual([503, "missing_route_key"]);
    });
  });

  test("edge: or goes to defaultRoute", async () => {
    const options = { routes: [tagged("chain")], config: { defaultRoute: "chain" }, envoy: nameless };
    await withStack(options, async (stack) => expect(await trace(stack, "/anything")).toBe("1"));
  });

  test("FR-008: the route's name comes as an attribute where gRPC metadata does not say it", async () => {
    const envoy = ({ extProc }: EnvoyParts) => {
      extProc.grpc_service.initial_metadata = undefined;
    };
    await withStack({ routes: [tagged("chain")], envoy }, async (stack) => {
      expect(await trace(stack, "/chain")).toBe("1");
    });
  });

  test("FR-008: or stands under a configured metadata key", async () => {
    const routeKey = { metadataNamespace: "route.of.test", metadataKey: "key" };
    const envoy = (parts: EnvoyParts) => {
      nameless(parts);
      parts.extProc.metadata_options.forwarding_namespaces = { untyped: ["route.of.test"] };
      const type = "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config";
      parts.connectionManager.http_filters.unshift({
        name: "envoy.filters.http.header_to_metadata",
        typed_config: {
          "@type": type,
          request_rules: [
            { header: "x-tenant", on_header_present: { metadata_namespace: "route.of.test", key: "key" } },
          ],
        },
      });
    };
    const options = { routes: [tagged("chain"), tagged("other", "2")], config: { routeKey }, envoy };
    await withStack(options, async (stack) => {
      const by = async (tenant: string) =>
        (await stack.get("/x", [["x-tenant", tenant]])).echo().header("x-trace");
      expect([await by("chain"), await by("other")]).toEqual(["1", "2"]);
    });
  });
});

describe("what was lost is not open", () => {
  let stack: Stack;
  const file = () => join(stack.engine.folder, "routes.yaml");

  beforeAll(async () => {
    stack = await startStack({ routes: [tagged("kept"), tagged("removed")], envoyRoutes: ["fresh"] });
  }, BUILD_TIMEOUT_MS);

  afterAll(() => stack?.stop());

  for (const [name, text] of [
    ["zero bytes", ""],
    ["comments only", "# nothing here\n\n"],
    ["half a file", "routes:\n  - route: kept\n    policies: [{ name: tag"],
    ["not a mapping", "- 1\n"],
  ] as const) {
    test(`edge: ${name} in place of the routes keeps the last good ones`, async () => {
      const since = stack.engine.logs().length;
      await stack.engine.writeRoutes(text);
      await stack.engine.waitForLog("routes.yaml", since);
      expect(await trace(stack, "/kept")).toBe("1");
    });
  }

  test("edge: a file that is gone keeps the last good routes, and works again when it is back", async () => {
    const since = stack.engine.logs().length;
    await rm(file());
    await stack.engine.waitForLog("routes.yaml", since);
    expect(await trace(stack, "/kept")).toBe("1");
    await stack.engine.writeRoutes([tagged("kept", "back"), tagged("removed")]);
    await waitFor("the file that came back", async () => (await trace(stack, "/kept")) === "back");
  });

  test("edge: a route that was removed is as never configured; another one is not disturbed", async () => {
    await stack.engine.writeRoutes([tagged("kept", "still")]);
    await waitFor("removal", async () => (await trace(stack, "/removed")) === undefined);
    expect(await trace(stack, "/kept")).toBe("still");
  });

  test("edge: a route with errors keeps its last good chain while others change", async () => {
    await stack.engine.writeRoutes([broken("kept"), tagged("fresh")]);
    await waitFor("other route", async () => (await trace(stack, "/fresh")) === "1");
    expect(await trace(stack, "/kept")).toBe("still");
  });

  test("edge: routes: [] removes all", async () => {
    await stack.engine.writeRoutes("routes: []\n");
    await waitFor("removal of all", async () => (await trace(stack, "/kept")) === undefined);
  });
});

describe("starting", () => {
  for (const [name, routes] of [
    ["an unparsable route file", "routes: [\n"],
    ["a route file of the wrong shape", "chains: []\n"],
  ] as const) {
    test(`edge: ${name} ends the start with exit code 3 and one clear message`, async () => {
      const engine = await startEngine({ routes, untilReady: false });
      expect(await engine.exited).toBe(3);
      expect(engine.output()).toMatch(/routes\.yaml:\d+:\d+/);
      await engine.stop();
    });
  }

  test("edge: a missing route file ends the start with exit code 3", async () => {
    const engine = await startEngine({
      routes: [],
      config: { routes: { path: "/nowhere/routes.yaml" } },
      untilReady: false,
    });
    expect(await engine.exited).toBe(3);
    expect(engine.output()).toContain("/nowhere/routes.yaml");
    await engine.stop();
  });

  test("FR-008: a Unix socket carries the streams as well", async () => {
    const address = `unix:${join(process.env.TMPDIR ?? "/tmp", `pe-test-${process.pid}.sock`)}`;
    await withStack({ routes: [tagged("chain")], config: { extProc: { address } } }, async (stack) => {
      expect(await trace(stack, "/chain")).toBe("1");
    });
  });
});

/** Takes the names away from Envoy's routes. */
function nameless({ connectionManager }: EnvoyParts): void {
  for (const route of connectionManager.route_config.virtual_hosts[0].routes) route.name = "";
}

async function withStack(
  options: EngineOptions & { envoy?: (parts: EnvoyParts) => void },
  use: (stack: Stack) => Promise<void>,
): Promise<void> {
  const stack = await startStack(options);
  try {
    await use(stack);
  } finally {
    await stack.stop();
  }
}
