import { describe, expect, test } from "bun:test";
import { createLogger, type EngineLogger } from "./log.ts";
import { SecretsInUse } from "./secrets-in-use.ts";

function recorder(format: "json" | "text"): { log: EngineLogger; lines: string[] } {
  const lines: string[] = [];
  return { lines, log: createLogger({ level: "debug", format, write: (line) => lines.push(line) }) };
}

describe("SecretsInUse", () => {
  test("a secret that several hold is kept out until the last lets go, and for a while after", () => {
    const secrets = new SecretsInUse();
    const first = secrets.hold(["hunter2", "hunter2000"]);
    expect(secrets.scrub("hunter2 hunter2000 hunter late")).toBe("[redacted] [redacted] hunter late");
    const second = secrets.hold(["hunter2", "late"]);
    expect(secrets.scrub("hunter2 late")).toBe("[redacted] [redacted]");
    first();
    first();
    const after = Array.from({ length: 1_000 }, (_, index) => secrets.hold([`other-${index}`]));
    for (const release of after.slice(1)) release();
    // 999 have been let go after it.
    expect(secrets.scrub("hunter2 hunter2000 late")).toBe("[redacted] [redacted] [redacted]");
    after[0]!();
    expect(secrets.scrub("hunter2 hunter2000 late")).toBe("[redacted] [redacted]000 [redacted]");
    second();
    expect(secrets.scrub("hunter2 late other-1 other-2")).toBe("[redacted] [redacted] other-1 other-2");
  });

  test("what is shorter than four characters is not looked for: it would blank every error", () => {
    const secrets = new SecretsInUse();
    secrets.hold(["", "a", "abc", "abcd"]);
    expect(secrets.scrub("a abc abcd")).toBe("a abc [redacted]");
  });
});

describe("hide()", () => {
  test.each(["json", "text"] as const)("keeps secrets out of any line with an error (%s)", (format) => {
    const { log, lines } = recorder(format);
    log.child({ component: "policy" }).hide(['hun"ter2']);
    const error = new Error('fetch https://x/?key=hun"ter2', {
      cause: new AggregateError([new Error('deep hun"ter2')], 'hun"ter2'),
    });
    // Where a text is cut, the secret must not stand in part.
    Object.assign(error, { code: `${"x".repeat(8 * 1024 - 4)}hun"ter2` });
    log.error('message hun"ter2', { error, more: new Map([['hun"ter2', ['hun"ter2']]]) });
    log.repeated("error", 'again hun"ter2', { error: 'hun"ter2' });
    expect(lines).toHaveLength(2);
    expect(lines.join()).not.toContain("hun");
    expect(lines.join()).toContain("[redacted]");
  });

  test("leaves lines without an error alone", () => {
    const { log, lines } = recorder("json");
    log.hide(["orders"]);
    log.info("Applied", { route: "orders" });
    expect(lines[0]).toContain('"route":"orders"');
  });
});
