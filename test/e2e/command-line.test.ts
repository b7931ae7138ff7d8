import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import { Child } from "../helpers/child.ts";
import { type RunningEngine, startEngine } from "../helpers/engine.ts";
import { startEnvoy, validateEnvoyConfig } from "../helpers/envoy.ts";
import { request } from "../helpers/http.ts";
import { startUpstream } from "../helpers/upstream.ts";

const routes = [
  {
    route: "orders",
    policies: [
      { name: "tag", parameters: { label: "1" } },
      { name: "tag-response", parameters: { label: "a" } },
    ],
  },
];

let engine: RunningEngine;
let config: string;
let broken: string;
let folder: string;

beforeAll(async () => {
  engine = await startEngine({ link: "tcp", routes });
  config = join(engine.folder, "policy-engine.yaml");
  folder = await mkdtemp(join(tmpdir(), "policy-engine-cli-"));
  broken = join(folder, "policy-engine.yaml");
  await writeFile(broken, "routes: { path: routes.yaml }\n");
  const wrong = ["tag", "gone"].map(
    (name) => `  - { route: ${name}, policies: [{ name: ${name}, version: v1.0.0 }] }\n`,
  );
  await writeFile(join(folder, "routes.yaml"), `routes:\n${wrong.join("")}`);
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await engine?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function run(...args: string[]): Promise<{ code: number; output: string }> {
  // An empty environment: nothing of the toolchain is needed.
  const child = new Child([await testEngine(), ...args], { env: {}, cwd: folder });
  return { code: await child.exited, output: child.output() };
}

describe("envoy-config", () => {
  for (const base of ["wide", "narrow"]) {
    test(`prints a configuration that Envoy accepts and that reaches the engine: ${base}`, async () => {
      const upstream = await startUpstream();
      const flags = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", upstream.address];
      const { code, output } = await run("envoy-config", "--config", config, "--base", base, ...flags);
      expect(code).toBe(0);
      expect(await validateEnvoyConfig(output)).toMatchObject({ valid: true });
      const envoy = await startEnvoy({ config: parse(output) });
      const response = await request(envoy.port, { path: "/orders/1" });
      await envoy.stop();
      await upstream.stop();
      expect(response.echo().header("x-trace")).toBe("1");
      expect(response.header("x-trace")).toBe("a");
    });
  }

  test("refuses an address that is none", async () => {
    const { code, output } = await run("envoy-config", "--config", config, "--listen", "nowhere");
    expect([code, output]).toEqual([
      2,
      'error: Cannot use address "nowhere": it is not an address, "host:port" or "unix:/path" is needed',
    ]);
  });
});

describe("validate", () => {
  test("FR-012: says that a configuration is good", async () => {
    expect((await run("validate", "--config", config)).code).toBe(0);
  });

  test("FR-012: reports every problem with its place, and exits 1", async () => {
    const { code, output } = await run("validate", "--config", broken);
    expect(code).toBe(1);
    expect(output).toMatch(/routes\.yaml:2:\d+: error: .*label/);
    expect(output).toMatch(/routes\.yaml:3:\d+: error: .*gone/);
  });

  test("FR-012: the same as JSON", async () => {
    const { code, output } = await run("validate", "--config", broken, "--json");
    const report = JSON.parse(output) as { valid: boolean; problems: { pointer: string }[] };
    expect([code, report.valid]).toEqual([1, false]);
    expect(report.problems.map(({ pointer }) => pointer)).toEqual([
      expect.stringContaining("/routes/0/policies/0"),
      "/routes/1/policies/0/name",
    ]);
  });
});

test("explain prints what runs when", async () => {
  const { code, output } = await run("explain", "--config", config, "--route", "orders", "--json");
  expect(code).toBe(0);
  expect(JSON.stringify(JSON.parse(output))).toContain("tag-response");
});

test("version and policies answer without a configuration", async () => {
  expect(JSON.parse((await run("version", "--json")).output)).toMatchObject({ sdkVersion: "1.0.0" });
  expect((await run("policies")).output).toContain("tag");
});

test("an unknown command and an unknown option exit 2", async () => {
  expect([(await run("srve")).code, (await run("--nonsense")).code]).toEqual([2, 2]);
});
