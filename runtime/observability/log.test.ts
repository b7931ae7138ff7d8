import { describe, expect, test } from "bun:test";
import type { LogFields, LogLevel } from "@policy-engine/sdk";
import { createLogger, type EngineLogger, type LogFormat } from "./log.ts";

const TIME = new Date("2026-01-02T03:04:05.678Z");

function recorder(
  level: LogLevel = "info",
  format: LogFormat = "json",
): { log: EngineLogger; lines: string[] } {
  const lines: string[] = [];
  return { lines, log: createLogger({ level, format, write: (line) => lines.push(line), now: () => TIME }) };
}

function metadataOf(fields: LogFields): unknown {
  const { log, lines } = recorder();
  log.info("m", fields);
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0]!).metadata;
}

describe("createLogger() as JSON", () => {
  test("003 6.2: a line has timestamp, level, component, request_id, message and metadata", () => {
    const { log, lines } = recorder();
    const exchange = log.child({ component: "kernel", route: "orders" }).child({ request_id: "r-1" });
    exchange.warn("Policy failed", { policy: "a:v1.0.0" });
    expect(lines[0]?.endsWith("\n")).toBe(true);
    expect(JSON.parse(lines[0]!)).toEqual({
      timestamp: "2026-01-02T03:04:05.678Z",
      level: "warn",
      component: "kernel",
      request_id: "r-1",
      message: "Policy failed",
      metadata: { route: "orders", policy: "a:v1.0.0" },
    });
  });

  test("a line without facts has the same fields", () => {
    const { log, lines } = recorder();
    log.info("hello");
    expect(JSON.parse(lines[0]!)).toEqual({
      timestamp: "2026-01-02T03:04:05.678Z",
      level: "info",
      component: "engine",
      request_id: "",
      message: "hello",
      metadata: {},
    });
  });

  test("the fact of the nearest logger wins", () => {
    const { log, lines } = recorder();
    log.child({ a: 1, b: 1 }).child({ b: 2 }).info("m", { c: 3 });
    expect(JSON.parse(lines[0]!).metadata).toEqual({ a: 1, b: 2, c: 3 });
  });

  test("edge: whose line it is cannot be changed by what is logged, which may be a client's", () => {
    const { log, lines } = recorder();
    const policy = log
      .child({ component: "policy", policy: "a:v1.0.0", route: "r" })
      .child({ request_id: "id" });
    const claims = { component: "admin", policy: "b:v1.0.0", route: "s", request_id: "forged", sub: "ann" };
    policy.info("claims", claims);
    const broken = {
      get policy(): never {
        throw new Error("no");
      },
    };
    policy.info("broken", broken);
    for (const line of lines)
      expect(JSON.parse(line)).toMatchObject({
        ...{ component: "policy", request_id: "id" },
        metadata: { policy: "a:v1.0.0", route: "r" },
      });
    expect(JSON.parse(lines[0]!).metadata.sub).toBe("ann");
  });

  test("one line stays one line whatever the message", () => {
    const { log, lines } = recorder();
    log.info('a\nb\r\n{"level":"error"}', { "k\n": "v\n" });
    expect(lines.join("").split("\n")).toHaveLength(2);
    expect(JSON.parse(lines[0]!).message).toBe('a\nb\r\n{"level":"error"}');
  });
});

describe("levels", () => {
  test.each([
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1],
  ] as const)("%s writes %d of four", (level, count) => {
    const { log, lines } = recorder(level);
    for (const each of ["debug", "info", "warn", "error"] as const) {
      const before = lines.length;
      log[each]("m");
      expect(lines.length - before).toBe(log.enabled(each) ? 1 : 0);
    }
    expect(lines).toHaveLength(count);
  });

  test("setLevel() changes every logger of the process", () => {
    const { log, lines } = recorder();
    const child = log.child({ component: "kernel" });
    child.debug("not yet");
    log.setLevel("debug");
    child.debug("now");
    child.setLevel("error");
    log.info("not any more");
    expect(lines.map((line) => JSON.parse(line).message)).toEqual(["now"]);
  });
});

describe("hostile values", () => {
  test("cycles, big integers, functions, symbols and dates become text", () => {
    const cyclic: Record<string, unknown> = { n: 1n };
    cyclic.self = cyclic;
    expect(
      metadataOf({ cyclic, f: () => 1, s: Symbol("s"), d: TIME, bad: new Date(Number.NaN), x: Number.NaN }),
    ).toEqual({
      cyclic: { n: "1", self: "[circular]" },
      f: "[function]",
      s: "Symbol(s)",
      d: "2026-01-02T03:04:05.678Z",
      bad: "Invalid Date",
      x: "NaN",
    });
  });

  test("the same object twice is no cycle", () => {
    const shared = { a: 1 };
    expect(metadataOf({ x: shared, y: shared })).toEqual({ x: { a: 1 }, y: { a: 1 } });
  });

  test("an error keeps its name, message, code, stack and cause", () => {
    const error = new TypeError("outer", { cause: Object.assign(new Error("inner"), { code: "EPIPE" }) });
    const { error: copied } = metadataOf({ error }) as { error: Record<string, unknown> };
    expect(copied).toMatchObject({
      name: "TypeError",
      message: "outer",
      cause: { name: "Error", message: "inner", code: "EPIPE" },
    });
    expect(copied.stack).toContain("log.test.ts");
  });

  test("maps, sets, bytes and URLs are readable", () => {
    const fields = {
      m: new Map([["k", 1]]),
      s: new Set([1]),
      b: new Uint8Array(3),
      u: new URL("http://a/b"),
    };
    expect(metadataOf(fields)).toEqual({ m: { k: 1 }, s: [1], b: "[3 bytes]", u: "http://a/b" });
  });

  test("a throwing getter or proxy loses only its own value", () => {
    const broken = {
      get a(): never {
        throw new Error("a");
      },
      b: 2,
    };
    const proxy = new Proxy(
      {},
      {
        ownKeys() {
          throw new Error("p");
        },
      },
    );
    expect(metadataOf({ broken, proxy, c: 3 })).toEqual({
      broken: { a: "[unreadable]", b: 2 },
      proxy: "[unreadable]",
      c: 3,
    });
    const { log, lines } = recorder();
    log.info("kept", broken);
    expect(JSON.parse(lines[0]!)).toMatchObject({ message: "kept", metadata: { fields: "[unreadable]" } });
  });

  test("a member called __proto__ is a member", () => {
    const metadata = metadataOf(JSON.parse('{"a":{"__proto__":{"x":1}}}')) as { a: object };
    expect(Object.hasOwn(metadata.a, "__proto__")).toBe(true);
  });

  test("depth, members and length are bounded, and the line says so", () => {
    const deep: Record<string, unknown> = {};
    let inner = deep;
    for (let i = 0; i < 10_000; i++) {
      inner.d = {};
      inner = inner.d as Record<string, unknown>;
    }
    const { log, lines } = recorder();
    const wide = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, "v".repeat(100_000)]));
    log.info("x".repeat(1_000_000), { deep, list: new Array(100_000).fill("y".repeat(1_000)), wide });
    expect(lines[0]!.length).toBeLessThan(64 * 1024);
    expect(lines[0]).toContain("[too deep]");
    expect(lines[0]).toContain("[truncated]");
    expect(() => JSON.parse(lines[0]!)).not.toThrow();
  });

  test("a write that throws does not reach the caller", () => {
    const log = createLogger({
      level: "info",
      format: "json",
      write() {
        throw new Error("EPIPE");
      },
    });
    expect(() => log.error("m")).not.toThrow();
  });
});

describe("createLogger() as text", () => {
  test("a line reads time, level, component, message, facts", () => {
    const { log, lines } = recorder("info", "text");
    log.child({ component: "kernel", request_id: "r-1" }).info("Loaded 2 policy versions", {
      policies: ["a:v1.0.0"],
      path: "/etc/x.yaml",
      note: "two words",
    });
    expect(lines[0]).toBe(
      '2026-01-02T03:04:05.678Z INFO  [kernel] Loaded 2 policy versions request_id=r-1 policies=["a:v1.0.0"] path=/etc/x.yaml note="two words"\n',
    );
  });

  test("control characters cannot forge lines or drive the terminal", () => {
    const { log, lines } = recorder("info", "text");
    log.info("a\n2026 ERROR b\u001b[2J", { "k\u0007": "v\u009b\u2028" });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(lines[0]!.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028]/);
  });
});
