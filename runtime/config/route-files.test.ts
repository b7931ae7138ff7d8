import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MAX_INLINE_CHARACTERS } from "../document/parse-yaml-apart.ts";
import { formatProblem } from "../document/problem.ts";
import { routesText, temporaryFolder, writeRoutes } from "./config-fixtures.ts";
import { RouteFiles } from "./route-files.ts";
import type { RouteSet } from "./route-source.ts";

const LIMITS = { routeFileBytes: 4 * 1024 * 1024, routeFiles: 10, routes: 10_000 };

/** Many routes, over what is read at once. */
function manyRoutes(count = 400): Record<string, string[]> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`r${index}`, [`${index}`]]));
}

/** The same as one large value, which is read in a thread. */
function asJson(routes: Readonly<Record<string, readonly string[]>>): string {
  const text = JSON.stringify(Bun.YAML.parse(routesText(routes)), null, 1);
  expect(text.length).toBeGreaterThan(MAX_INLINE_CHARACTERS);
  return text;
}

function entriesOf({ sources }: RouteSet): unknown[] {
  return sources.flatMap(({ entries }) =>
    entries.map(({ route, resource, references, problems }) => ({ route, resource, references, problems })),
  );
}

function problemsOf({ sources }: RouteSet): string[] {
  return sources.flatMap(({ problems, entries }) =>
    [...problems, ...entries.flatMap((entry) => entry.problems)].map(formatProblem),
  );
}

describe("RouteFiles: large files", () => {
  test("say the same in any layout", async () => {
    const folder = temporaryFolder();
    writeRoutes(join(folder, "a.yaml"), manyRoutes());
    const block = await new RouteFiles(folder, LIMITS).read();
    rmSync(join(folder, "a.yaml"));
    writeFileSync(join(folder, "a.json"), asJson(manyRoutes()));
    const json = await new RouteFiles(folder, LIMITS).read();
    expect(problemsOf(block)).toEqual([]);
    expect(entriesOf(block)).toHaveLength(400);
    expect(entriesOf(json)).toStrictEqual(entriesOf(block));
  });

  test("tell each problem with its place, also after they were read", async () => {
    const folder = temporaryFolder();
    const text = asJson(manyRoutes()).replace('"version": "v1"', '"version": "one"');
    writeFileSync(join(folder, "a.json"), text);
    const set = await new RouteFiles(folder, LIMITS).read();
    const line = text.slice(0, text.indexOf('"one"')).split("\n").length;
    expect(problemsOf(set)).toEqual([
      expect.stringContaining(`a.json:${line}:17: error: Must be a version such as "v1.2.0"`),
    ]);
    const last = set.sources[0]!.entries.at(-1)!;
    const lastLine = text.slice(0, text.indexOf('"r399"')).split("\n").length;
    expect(last.report("/route", "m")).toMatchObject({ line: lastLine, pointer: "/routes/399/route" });
  });

  test("that are no YAML are unusable, with the place", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "a.json"), `${asJson(manyRoutes())}]`);
    const set = await new RouteFiles(folder, LIMITS).read();
    expect(set.sources.map(({ usable }) => usable)).toEqual([false]);
    expect(problemsOf(set).join()).toContain("a.json:");
  });

  test("one entry over the size is read all the same", async () => {
    const folder = temporaryFolder();
    const values = Array.from({ length: 2_000 }, (_, index) => `v${index}`);
    writeRoutes(join(folder, "a.yaml"), { small: ["1"], large: values });
    const { sources } = await new RouteFiles(folder, LIMITS).read();
    expect(sources[0]!.entries.map(({ route, references }) => [route, references.size])).toEqual([
      ["small", 1],
      ["large", 2_000],
    ]);
  });
});

describe("RouteFiles: reading again", () => {
  test("only files that changed are parsed again", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "a.json"), asJson(manyRoutes()));
    writeRoutes(join(folder, "b.yaml"), { b: ["1"] });
    const files = new RouteFiles(folder, LIMITS);
    const first = await files.read();
    writeRoutes(join(folder, "b.yaml"), { b: ["2"] });
    const second = await files.read();
    expect(second.sources[0]).toBe(first.sources[0]!);
    expect(second.sources[1]).not.toBe(first.sources[1]!);
    expect((await files.read()).sources[1]).toBe(second.sources[1]!);
  });

  test("of a file that changed, entries that did not change stay the same", async () => {
    const folder = temporaryFolder();
    writeRoutes(join(folder, "a.yaml"), { a: ["1"], b: ["1"] });
    const files = new RouteFiles(folder, LIMITS);
    const first = await files.read();
    writeRoutes(join(folder, "a.yaml"), { a: ["1"], b: ["2"] });
    const second = await files.read();
    expect(second.sources[0]!.entries[0]!.resource).toBe(first.sources[0]!.entries[0]!.resource!);
    expect(second.sources[0]!.entries[1]!.resource).not.toEqual(first.sources[0]!.entries[1]!.resource);
  });

  test("what could not be used is read again, changed or not", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "a.yaml"), "routes: {");
    const files = new RouteFiles(folder, LIMITS);
    const first = await files.read();
    const second = await files.read();
    expect(problemsOf(second)).toEqual(problemsOf(first));
    expect(second.sources[0]).not.toBe(first.sources[0]!);
  });
});
