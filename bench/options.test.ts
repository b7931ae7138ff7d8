import { expect, test } from "bun:test";
import { parseOptions } from "./options.ts";

function optionsOf(...args: string[]) {
  const parsed = parseOptions(args);
  if (parsed.kind !== "run") throw new Error(`Cannot go on: ${JSON.stringify(parsed)}`);
  return parsed.options;
}

test("without options everything is measured, in seven rounds, with one worker and with two", () => {
  const { variants, scenarios, settings, buildPeers, whole } = optionsOf();
  expect(variants.size).toBe(21);
  expect(scenarios).toEqual(["start-up", "held", "ten-thousand", "soak"]);
  expect([settings.rounds, settings.workers, buildPeers, whole]).toEqual([7, [1, 2], true, true]);
});

test("--quick measures a part, and builds no peer", () => {
  const { variants, scenarios, settings, buildPeers, whole } = optionsOf("--quick");
  expect(variants.has("engine-1") && variants.has("ceiling")).toBe(true);
  expect(variants.size).toBeLessThan(9);
  expect([scenarios, settings.workers, buildPeers, whole]).toEqual([["start-up"], [1], false, false]);
});

test("--only takes names and beginnings of names, of variants and scenarios", () => {
  const { variants, scenarios, whole } = optionsOf("--only", "engine-5*,held");
  expect(whole).toBe(false);
  expect([...variants]).toEqual(["engine-5", "engine-5-cel"]);
  expect(scenarios).toEqual(["held"]);
});

test("rounds, workers and rate take the place of what the kind of run has", () => {
  const { settings } = optionsOf("--quick", "--rounds", "3", "--workers", "2,4", "--rate", "1000");
  expect(settings).toMatchObject({ rounds: 3, workers: [2, 4], rate: 1000 });
});

test.each([
  [["--rounds", "0"], "--rounds"],
  [["--rounds", "1.5"], "--rounds"],
  [["--rounds", "101"], "--rounds"],
  [["--workers", "1,x"], "--workers"],
  [["--rate", "99"], "--rate"],
  [["--only", "engine-9"], "no such variant"],
  [["--only", "nothing*"], "no such variant"],
  [["--fast"], "--fast"],
  [["there"], "there"],
])("%p is refused with a reason", (args, reason) => {
  expect(parseOptions(args)).toMatchObject({ kind: "usage", message: expect.stringContaining(reason) });
});

test("--help and --list print and measure nothing", () => {
  expect(parseOptions(["--help"])).toMatchObject({ kind: "text", text: expect.stringContaining("--rounds") });
  expect(parseOptions(["--list"])).toMatchObject({ kind: "text", text: expect.stringContaining("tonic\n") });
});
