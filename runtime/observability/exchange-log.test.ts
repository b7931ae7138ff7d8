import { expect, test } from "bun:test";
import type { LogLevel } from "@policy-engine/sdk";
import { type ExchangeFacts, ExchangeLog } from "./exchange-log.ts";
import { createLogger, type EngineLogger } from "./log.ts";

const FACTS: ExchangeFacts = {
  route: "orders",
  outcome: "denied",
  reason: "no_token",
  policy: "gate:v1.0.0",
  error_id: undefined,
  status: 401,
  duration_ms: 0.25,
  phases: ["request_headers"],
};

function setup(
  level: LogLevel,
  rate: number,
): { log: EngineLogger; exchanges: ExchangeLog; lines: string[] } {
  const lines: string[] = [];
  const log = createLogger({ level, format: "json", write: (line) => lines.push(line) });
  return { log, lines, exchanges: new ExchangeLog(log, rate) };
}

const ids = Array.from(
  { length: 4_000 },
  (_, index) => `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
);

/** Ids of the lines at a level. */
function idsAt(level: LogLevel, lines: readonly string[]): string[] {
  return lines
    .map((line) => JSON.parse(line))
    .filter((line) => line.level === level)
    .map((line) => line.request_id);
}

test("a line has the facts that are known, and the request's id", () => {
  const { exchanges, lines } = setup("debug", 0);
  exchanges.write("r-1", FACTS);
  const { error_id: _, ...known } = FACTS;
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: "debug",
    request_id: "r-1",
    message: "Exchange ended",
    metadata: known,
  });
  expect(Object.keys(JSON.parse(lines[0]!).metadata)).toEqual(Object.keys(known));
});

test.each<[LogLevel, number, boolean]>([
  ["debug", 0, true],
  ["info", 0, false],
  ["error", 0, false],
  ["info", 0.001, true],
  ["warn", 1, false],
])("at %s with a rate of %d it is enabled: %p", (level, rate, enabled) => {
  const { exchanges, lines } = setup(level, rate);
  expect(exchanges.enabled).toBe(enabled);
  if (enabled) return;
  exchanges.write("r-1", FACTS);
  expect(lines).toEqual([]);
});

test("follows a change of the level", () => {
  const { log, exchanges } = setup("info", 0);
  log.setLevel("debug");
  expect(exchanges.enabled).toBe(true);
});

test("a sample has its share, the same in every engine, and is part of what debug shows", () => {
  const sampled = setup("info", 0.25);
  const again = setup("info", 0.25);
  const all = setup("debug", 0.25);
  for (const { exchanges } of [sampled, again, all]) for (const id of ids) exchanges.write(id, FACTS);
  const chosen = idsAt("info", sampled.lines);
  expect(chosen.length / ids.length).toBeCloseTo(0.25, 1);
  expect(idsAt("info", again.lines)).toEqual(chosen);
  expect(idsAt("info", all.lines)).toEqual(chosen);
  expect(all.lines).toHaveLength(ids.length);
});

test("edge: without a rate there is no sample, also not of an id whose hash is nought", () => {
  const { exchanges, lines } = setup("info", 0);
  expect(Bun.hash.crc32("")).toBe(0);
  exchanges.write("", FACTS);
  expect(lines).toEqual([]);
});

test.each([
  [0, 0],
  [1, ids.length],
])("a rate of %d writes %d lines at info", (rate, count) => {
  const { exchanges, lines } = setup("info", rate);
  for (const id of ids) exchanges.write(id, FACTS);
  expect(lines).toHaveLength(count);
});
