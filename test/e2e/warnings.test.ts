// The compiled executable warns of what is legal but dangerous, serves it all the same, and of Envoy's configuration.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { stringify } from "yaml";
import { envoyConfig } from "../../runtime/cli/envoy-config.ts";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import { Child } from "../helpers/child.ts";
import { type RunningEngine, startEngine } from "../helpers/engine.ts";

const parameters = { keys: ["acme-key-1"] };
const apiKey = (more: object) => ({ name: "api-key-validation", version: "v1.0.0", parameters, ...more });
const set = (value: string) => ({
  name: "set-header",
  version: "v1.0.0",
  parameters: { response: { set: { "X-Frame-Options": value } } },
});
const ROUTES = [
  { route: "header", policies: [apiKey({ executionCondition: 'request.headers["x-internal"] != "1"' })] },
  { route: "open", policies: [apiKey({ failureMode: "open" })] },
  { route: "twice", policies: [set("DENY"), set("SAMEORIGIN")] },
  { route: "never", policies: [apiKey({ executionCondition: "1 == 2" })] },
  {
    route: "sound",
    policies: [apiKey({ executionCondition: 'request.path.startsWith("/sound")' }), set("DENY")],
  },
];
const CODES = ["auth-behind-client-header", "auth-fails-open", "header-set-twice", "step-never-runs"];

let engine: RunningEngine;

beforeAll(async () => {
  engine = await startEngine({ routes: ROUTES });
}, BUILD_TIMEOUT_MS);

afterAll(() => engine?.stop());

async function validate(...args: string[]): Promise<{ code: number; output: string }> {
  const config = join(engine.folder, "policy-engine.yaml");
  const child = new Child([await testEngine(), "validate", "--config", config, ...args]);
  const code = await child.exited;
  return { code, output: child.output() };
}

function codesIn(output: string): string[] {
  return [...output.matchAll(/\[([a-z-]+)\]$/gm)].map(([, code]) => code!).sort();
}

test("validate warns by name and leaves the configuration valid; --strict does not", async () => {
  const relaxed = await validate();
  expect([relaxed.code, codesIn(relaxed.output)]).toEqual([0, CODES]);
  expect(relaxed.output).toContain("Valid: 5 routes, 4 warnings");
  expect(relaxed.output).not.toContain("acme-key-1");
  const strict = await validate("--strict", "--json");
  expect(strict.code).toBe(1);
  const { valid, problems } = JSON.parse(strict.output) as { valid: boolean; problems: { code: string }[] };
  expect([valid, problems.map(({ code }) => code).sort()]).toEqual([true, CODES]);
});

test("the engine serves what it warns of, and logs each warning once", async () => {
  await engine.waitForLog("Applied configuration");
  expect(await engine.isReady()).toBe(true);
  const codes = engine
    .logs()
    .filter(({ level }) => level === "warn")
    .map(({ metadata }) => (metadata as { code?: string }).code)
    .filter((code) => code !== undefined);
  expect(codes.sort()).toEqual(CODES);
});

describe("--envoy", () => {
  const file = () => join(engine.folder, "envoy.yaml");
  const warningsOf = async (change: (text: string) => string): Promise<string[]> => {
    const options = { listen: "0.0.0.0:8080", admin: "127.0.0.1:9901", upstream: "127.0.0.1:8000" };
    const routes = ["header"];
    // As the engine under test.
    const { extProc, tls } = engine;
    const config = envoyConfig({
      ...options,
      extProc,
      ...(tls && { tls }),
      routes,
      messageTimeoutMs: 10_000,
    });
    await Bun.write(file(), change(stringify(config, { aliasDuplicateObjects: false })));
    const { output } = await validate("--envoy", file());
    return codesIn(output).filter((code) => !CODES.includes(code));
  };

  test("the generated configuration is sound", async () => {
    expect(await warningsOf((text) => text)).toEqual([]);
  });

  test("what an operator changes in it is seen", async () => {
    const codes = await warningsOf((text) =>
      text
        .replace("failure_mode_allow: false", "failure_mode_allow: true")
        .replace(/message_timeout: .*/, "message_timeout: 0.1s")
        .replace("normalize_path: true", "normalize_path: false"),
    );
    expect(codes).toEqual(["envoy-failure-mode-allow", "envoy-message-timeout", "envoy-path-normalisation"]);
  });
});
