import { describe, expect, test } from "bun:test";
import { waitFor } from "../../test/helpers/wait.ts";
import { createLogger, type EngineLogger } from "./log.ts";

interface Line {
  readonly level: string;
  readonly component: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

function recorder(level: "debug" | "warn" | "error" = "warn"): { log: EngineLogger; lines: () => Line[] } {
  const lines: string[] = [];
  const log = createLogger({ level, format: "json", write: (line) => lines.push(line) });
  return { log, lines: () => lines.map((line) => JSON.parse(line) as Line) };
}

/** Lines that were written, and those that a line says were left out. */
function count(lines: readonly Line[]): { written: number; suppressed: number } {
  const told = lines.filter(({ metadata }) => metadata.suppressed !== undefined);
  const suppressed = told.reduce((sum, { metadata }) => sum + Number(metadata.suppressed), 0);
  return { written: lines.length - told.length, suppressed };
}

describe("repeated()", () => {
  test("writes ten lines of a kind, and tells how many it left out", () => {
    const { log, lines } = recorder();
    const policy = log.child({ component: "policy", policy: "gate:v1.0.0", route: "orders" });
    for (let index = 0; index < 1_000; index++) {
      policy.repeated("error", "Policy failed", { reason: "policy_failed", error_id: String(index) });
    }
    expect(lines()).toHaveLength(10);
    log.flush();
    expect(lines()).toHaveLength(11);
    expect(lines().at(-1)).toMatchObject({
      level: "error",
      component: "policy",
      message: "Left out lines that repeat",
    });
    expect(lines().at(-1)?.metadata).toEqual({
      line: "Policy failed",
      policy: "gate:v1.0.0",
      reason: "policy_failed",
      suppressed: 990,
    });
  });

  test("kinds differ by level, component, policy, reason and message, and by nothing else", () => {
    const { log, lines } = recorder();
    const kinds: (() => void)[] = [
      () => log.repeated("error", "a", { reason: "r" }),
      () => log.repeated("warn", "a", { reason: "r" }),
      () => log.repeated("error", "b", { reason: "r" }),
      () => log.repeated("error", "a", { reason: "q" }),
      () => log.child({ policy: "p" }).repeated("error", "a", { reason: "r" }),
      () => log.child({ component: "c" }).repeated("error", "a", { reason: "r" }),
    ];
    for (const write of kinds) for (let index = 0; index < 11; index++) write();
    for (let index = 0; index < 5; index++)
      log.child({ route: `${index}` }).repeated("error", "a", { reason: "r" });
    log.flush();
    expect(count(lines())).toEqual({ written: 60, suppressed: 11 });
  });

  test("what was left out is told within the second, without another line or a flush, and then it begins anew", async () => {
    const { log, lines } = recorder();
    for (let index = 0; index < 25; index++) log.repeated("warn", "m");
    await waitFor("summary", () => count(lines()).suppressed > 0);
    expect(count(lines())).toEqual({ written: 10, suppressed: 15 });
    for (let index = 0; index < 12; index++) log.repeated("warn", "m");
    await waitFor("next summary", () => count(lines()).suppressed > 15);
    expect(count(lines())).toEqual({ written: 20, suppressed: 17 });
  });

  test("nothing is told where nothing was left out, nor twice", () => {
    const { log, lines } = recorder();
    for (let index = 0; index < 10; index++) log.repeated("warn", "m");
    log.flush();
    log.flush();
    expect(count(lines())).toEqual({ written: 10, suppressed: 0 });
    for (let index = 0; index < 12; index++) log.repeated("warn", "m");
    log.flush();
    log.flush();
    expect(count(lines())).toEqual({ written: 20, suppressed: 2 });
    expect(lines()).toHaveLength(21);
  });

  test("a level that is off costs no count; one that is turned off later is still accounted for", () => {
    const { log, lines } = recorder("error");
    for (let index = 0; index < 20; index++) log.repeated("warn", "m");
    log.flush();
    expect(lines()).toEqual([]);
    log.setLevel("warn");
    for (let index = 0; index < 20; index++) log.repeated("warn", "m");
    log.setLevel("error");
    log.flush();
    expect(count(lines())).toEqual({ written: 10, suppressed: 10 });
  });

  test("edge: reasons without end are one kind together, and still add up", () => {
    const { log, lines } = recorder();
    for (let index = 0; index < 3_000; index++) {
      log.repeated("warn", "m", { reason: `r${index % 1_000}` });
    }
    log.flush();
    const { written, suppressed } = count(lines());
    expect(written + suppressed).toBe(3_000);
    // 500 kinds of which each came three times, and ten lines for all the others.
    expect(written).toBe(1_510);
  });
});
