import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { renderChart } from "./chart.ts";
import { FIXTURE } from "./fixture.ts";
import { goalsOf, short, withSpread } from "./goals.ts";
import { renderMarkdown } from "./markdown.ts";
import type { BenchResult } from "./result.ts";

/** `UPDATE_GOLDEN=1` writes the files again; what changed is then read before it is committed. */
async function golden(name: string, text: string): Promise<void> {
  const path = join(import.meta.dir, "golden", name);
  if (process.env.UPDATE_GOLDEN === "1") await Bun.write(path, text);
  expect(text).toBe(await Bun.file(path).text());
}

test("the report shows every variant that was measured, what was left out, and every goal", async () => {
  await golden("report.txt", renderMarkdown(FIXTURE, { chart: "cpu.svg" }));
});

test("the chart shows the variants without bodies", async () => {
  await golden("cpu.svg", renderChart(FIXTURE));
});

describe("goals", () => {
  const goal = (what: string, result: BenchResult = FIXTURE) =>
    goalsOf(result).find((other) => other.what.startsWith(what));

  test("a ratio decides, either way", () => {
    expect(goal("CPU of the engine, cached JWT")).toMatchObject({ reached: false });
    expect(goal("Requests a second, 1 policy")).toMatchObject({ reached: true });
  });

  test("what was not measured is neither reached nor missed", () => {
    const { scenarios, variants } = FIXTURE;
    const { held: _, ...others } = scenarios;
    const less = {
      ...FIXTURE,
      scenarios: others,
      variants: variants.filter(({ name }) => name !== "tonic"),
    };
    expect(goal("10,000 exchanges held", less)).toMatchObject({
      measured: "not measured",
      reached: undefined,
    });
    expect(goal("Latency p50, one client", less)).toMatchObject({ reached: undefined });
  });

  test("one exchange without an answer misses the goal", () => {
    const held = { exchanges: 10_000, answered: 9_999, heldMB: 100 };
    const result = { ...FIXTURE, scenarios: { ...FIXTURE.scenarios, held } };
    expect(goal("10,000 exchanges held", result)).toMatchObject({ reached: false });
  });

  test("no goal is reached by a run that measured nothing", () => {
    const nothing = { ...FIXTURE, variants: [], scenarios: {} };
    expect(goalsOf(nothing).filter(({ reached }) => reached !== undefined)).toEqual([]);
  });
});

test.each([
  [0.123, "0.12"],
  [9.96, "9.96"],
  [99.95, "100.0"],
  [123.4, "123"],
  [18_999.6, "19,000"],
])("%p is shown as %p", (value, expected) => {
  expect(short(value)).toBe(expected);
});

test("a spread is shown where there is one", () => {
  expect(withSpread({ median: 10, min: 9, max: 12 })).toBe("10.0 (9.00 to 12.0)");
  expect(withSpread({ median: 10, min: 10, max: 10 })).toBe("10.0");
  expect(withSpread(undefined)).toBe("");
});
