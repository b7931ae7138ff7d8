import { describe, expect, test } from "bun:test";
import type { LogLevel } from "@policy-engine/sdk";
import { createLogger, type EngineLogger } from "../observability/log.ts";
import { logLevelPage } from "./log-level-page.ts";

interface Setup {
  readonly log: EngineLogger;
  readonly lines: Record<string, unknown>[];
  put(body: string): { status: number; body: unknown };
}

function setup(level: LogLevel): Setup {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({ level, format: "json", write: (line) => lines.push(JSON.parse(line)) });
  const page = logLevelPage(log);
  return {
    log,
    lines,
    put(body) {
      const answer = page.put(body);
      return { status: answer.status, body: JSON.parse(answer.body) };
    },
  };
}

describe("logLevelPage()", () => {
  test.each(["debug", " debug\n", '"debug"', '{"level":"debug"}', '{ "level": "debug", "x": 1 }'])(
    "takes %j, for every logger of the process",
    (body) => {
      const { log, put } = setup("info");
      const child = log.child({ component: "policy" });
      expect(put(body)).toEqual({ status: 200, body: { level: "debug" } });
      expect(child.enabled("debug")).toBe(true);
      expect(logLevelPage(log).get().body).toBe('{\n  "level": "debug"\n}\n');
    },
  );

  test.each(["", "trace", "DEBUG", "{}", "null", "[]", '["debug"]', '{"level":1}', "{", "constructor", "0"])(
    "refuses %j, names what it takes, and changes nothing",
    (body) => {
      const { log, lines, put } = setup("warn");
      expect(put(body)).toEqual({
        status: 400,
        body: {
          error: "Cannot set the log level: the body names none",
          levels: ["debug", "info", "warn", "error"],
        },
      });
      expect([log.level, lines.length]).toEqual(["warn", 0]);
    },
  );

  const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
  const pairs = levels.flatMap((from) => levels.map((to) => [from, to] as const));
  test.each(pairs)("a change from %s to %s is in the log, once", (from, to) => {
    const { log, lines, put } = setup(from);
    expect(put(to).status).toBe(200);
    expect(log.level).toBe(to);
    if (from === to) expect(lines).toEqual([]);
    else {
      const least = levels[Math.min(levels.indexOf(from), levels.indexOf(to))];
      const level = least === "debug" ? "info" : least;
      expect(lines).toMatchObject([{ level, message: "Changed the log level", metadata: { from, to } }]);
    }
  });
});
