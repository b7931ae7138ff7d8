// Each case in test/golden/config is a file and beside it the report of its problems. Write the reports anew with
// UPDATE_GOLDEN=1, and read what changed.
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compareProblems, formatProblem, type Problem } from "../document/problem.ts";
import { createStore, PolicyLab, routeSet, routesText } from "./config-fixtures.ts";
import { parseEngineConfig } from "./load-engine-config.ts";
import { mergeRoutes } from "./merge-routes.ts";

const FOLDER = join(import.meta.dir, "../../test/golden/config");

type Kind = "engine" | "routes" | "warnings";

function compare(kind: Kind, { name, problems }: { name: string; problems: readonly Problem[] }): void {
  const file = join(FOLDER, kind, name.replace(/\.yaml$/, ".txt"));
  const report = `${problems.map(formatProblem).join("\n")}\n`;
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(file, report);
  expect(existsSync(file)).toBe(true);
  expect(report).toBe(readFileSync(file, "utf8"));
  expect(report).not.toContain("do-not-show-me");
  expect(report).not.toContain("a-long-secret");
}

function cases(kind: Kind): [name: string, text: string][] {
  const names = readdirSync(join(FOLDER, kind)).filter((name) => name.endsWith(".yaml"));
  expect(names.length).toBeGreaterThan(0);
  return names.sort().map((name) => [name, readFileSync(join(FOLDER, kind, name), "utf8")]);
}

async function problemsOfRoutes(file: string, text: string): Promise<Problem[]> {
  const { lab, limits } = createStore(await PolicyLab.open());
  const set = await routeSet({ [file]: text }, limits);
  const { problems } = await mergeRoutes(set, {
    registry: lab.registry,
    limits,
    messageTimeoutMs: 1_000,
    known: undefined,
  });
  return [...problems].sort(compareProblems);
}

describe("reports of problems", () => {
  test.each(cases("engine"))("engine configuration: %s", (name, text) => {
    const { config, problems } = parseEngineConfig(text, name);
    expect(config).toBeUndefined();
    compare("engine", { name, problems });
  });

  test.each(cases("routes"))("FR-012: routes: %s", async (name, text) => {
    compare("routes", { name, problems: await problemsOfRoutes(name, text) });
  });

  test.each(cases("warnings"))("warnings: %s", async (name, text) => {
    const problems = await problemsOfRoutes(name, text);
    expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
    compare("warnings", { name, problems });
  });

  test("FR-012: hundreds of errors are one sorted report", async () => {
    const routes = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`r${index}`, ["1"]]));
    const text = routesText(routes).replaceAll("x-tag", "nonsense");
    const problems = await problemsOfRoutes("routes.yaml", text);
    expect(problems).toHaveLength(300);
    expect(problems).toEqual([...problems].sort(compareProblems));
    expect(new Set(problems.map(({ line }) => line)).size).toBe(300);
    for (const [index, { pointer, line }] of problems.entries()) {
      expect(pointer).toBe(`/routes/${index}/policies/0/parameters/name`);
      expect(text.split("\n")[line - 1]).toContain("nonsense");
    }
  });
});
