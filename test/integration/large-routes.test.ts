// Route files that are read in a thread, by the compiled executable alone in a folder: the thread is in it.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import { type RunningEngine, startEngine } from "../helpers/engine.ts";
import { waitFor } from "../helpers/wait.ts";

setDefaultTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), "policy-engine-alone-"));
const executable = join(folder, "policy-engine");
let engine: RunningEngine | undefined;

beforeAll(async () => {
  copyFileSync(await testEngine(), executable);
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** JSON is not cut into entries, so that all of it goes to the thread. */
function jsonRoutes(count: number, value: unknown): string {
  const routes = Array.from({ length: count }, (_, index) => ({
    route: `route-${index}`,
    policies: [{ name: "tag", version: "v1.0.0", parameters: { label: `${index}-${value}` } }],
  }));
  const text = JSON.stringify({ routes }, null, 1);
  expect(text.length).toBeGreaterThan(64 * 1024);
  return text;
}

interface Dump {
  readonly routes: readonly { route: string; status: string; policies: { parameters: unknown }[] }[];
}

async function valuesOf(running: RunningEngine): Promise<unknown[]> {
  const { routes } = (await (await running.getAdmin("/config")).json()) as Dump;
  return routes.map(({ route, status, policies }) => [route, status, policies[0]?.parameters]);
}

test("a large route file loads and reloads; what is wrong with it has its place", async () => {
  engine = await startEngine({ executable, routes: jsonRoutes(600, "old") });
  const running = engine;
  expect(await valuesOf(running)).toHaveLength(600);
  expect(await valuesOf(running)).toContainEqual(["route-599", "active", { label: "599-old" }]);
  await running.writeRoutes(jsonRoutes(600, "new"));
  await waitFor("the new routes", async () => {
    return JSON.stringify(await valuesOf(running)).includes("599-new");
  });
  const wrong = jsonRoutes(600, "newest").replace('"version": "v1.0.0"', '"version": "nonsense"');
  const line = wrong.slice(0, wrong.indexOf("nonsense")).split("\n").length;
  await running.writeRoutes(wrong);
  const logged = await running.waitForLog(`routes.yaml:${line}:`);
  expect(logged.level).toBe("error");
  expect(await valuesOf(running)).toContainEqual(["route-0", "last-good", { label: "0-new" }]);
});

test("the executable validates a large route file", () => {
  writeFileSync(join(folder, "routes.json"), jsonRoutes(600, "x"));
  writeFileSync(join(folder, "policy-engine.yaml"), 'routes: { path: "routes.json" }\n');
  const child = Bun.spawnSync(
    [executable, "validate", "--config", join(folder, "policy-engine.yaml"), "--json"],
    {
      cwd: folder,
    },
  );
  expect(JSON.parse(child.stdout.toString())).toMatchObject({ valid: true, problems: [] });
  expect(child.exitCode).toBe(0);
});
