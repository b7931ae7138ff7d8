// What is told of a decision: in the metadata for Envoy, and in the log.
import { describe, expect, test } from "bun:test";
import { type LogLevel, type Policy, respond } from "@policy-engine/sdk";
import { GET, KernelDriver, settle, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { createLogger, type EngineLogger } from "../observability/log.ts";

const style = { format: "problem", metadataNamespace: "told" } as const;
const deny: Policy = { onRequest: () => respond(403, { reason: "no" }) };
const fail: Policy = {
  onRequest() {
    throw new Error("on purpose");
  },
};
const failLate: Policy = {
  onResponse() {
    throw new Error("on purpose");
  },
};
const pass: Policy = { onRequest() {}, onResponse() {} };

function open(steps: readonly TestStep[], more: { log?: EngineLogger; sampleRate?: number } = {}) {
  return new KernelDriver(testChain(steps), { denials: style, ...more }).open();
}

function recorder(level: LogLevel): { log: EngineLogger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  return {
    lines,
    log: createLogger({ level, format: "json", write: (line) => lines.push(JSON.parse(line)) }),
  };
}

describe("the metadata of a decision", () => {
  test("goes with the answer that ends the exchange", () => {
    const stream = open([{ name: "gate", policy: deny }]).send("request_headers");
    expect(stream.dynamicMetadata).toEqual({
      told: { outcome: "denied", reason: "no", policy: "gate", version: "v1.0.0" },
    });
  });

  test("goes with a refusal without exchange", () => {
    const driver = new KernelDriver({ test: "unavailable" }, { denials: style });
    const stream = driver.open().send("request_headers");
    const { error_id, ...rest } = JSON.parse(stream.denial!.body);
    expect(rest).toEqual({
      type: "about:blank",
      title: "Service Unavailable",
      status: 503,
      reason: "route_unavailable",
    });
    expect(stream.dynamicMetadata).toEqual({
      told: { outcome: "failed", reason: "route_unavailable", error_id },
    });
  });

  test("is over what a policy wrote in its namespace, beside what it wrote in others", () => {
    const claims: Policy = {
      onRequest: () => ({ dynamicMetadata: { told: { reason: "mine", note: 1 }, other: { a: 1 } } }),
    };
    const stream = open([{ policy: claims }, { name: "gate", policy: deny }]).send("request_headers");
    expect(stream.dynamicMetadata).toEqual({
      told: { note: 1, outcome: "denied", reason: "no", policy: "gate", version: "v1.0.0" },
      other: { a: 1 },
    });
  });

  test("names who failed open, at the next answer, and all of them at the last", () => {
    const stream = open([
      { name: "first", policy: fail, failureMode: "open" },
      { name: "second", policy: failLate, failureMode: "open" },
    ]);
    stream.send("request_headers");
    expect(stream.dynamicMetadata).toEqual({ told: { failed_open: ["first:v1.0.0"] } });
    stream.send("response_headers");
    expect(stream.dynamicMetadata).toEqual({ told: { failed_open: ["first:v1.0.0", "second:v1.0.0"] } });
  });

  test("edge: names who failed open whatever a policy behind it writes there, in a later answer too", () => {
    const hides: Policy = {
      onRequest: () => ({ dynamicMetadata: { told: { failed_open: [], note: 1 } } }),
      onResponse: () => ({ dynamicMetadata: { told: { failed_open: [] } } }),
    };
    const stream = open([{ name: "first", policy: fail, failureMode: "open" }, { policy: hides }]);
    stream.send("request_headers");
    expect(stream.dynamicMetadata).toEqual({ told: { failed_open: ["first:v1.0.0"], note: 1 } });
    stream.send("response_headers");
    expect(stream.dynamicMetadata).toEqual({ told: { failed_open: ["first:v1.0.0"] } });
  });

  test("names also whose condition failed and who was left out for it", () => {
    const reads = { requestBody: false, response: false, responseBody: false };
    const condition = {
      source: "broken",
      reads,
      evaluate: () => {
        throw new Error("on purpose");
      },
    };
    const step = { name: "gate", policy: deny, condition };
    expect(open([{ ...step, conditionError: "skip" }]).send("request_headers").dynamicMetadata).toEqual({
      told: { failed_open: ["gate:v1.0.0"] },
    });
    expect(open([{ ...step, conditionError: "deny" }]).send("request_headers").dynamicMetadata).toMatchObject(
      {
        told: { outcome: "failed", reason: "condition_failed", policy: "gate" },
      },
    );
  });

  test("is nothing where everything passes, and nothing without a namespace", () => {
    const passing = open([{ policy: pass }]).send("request_headers");
    expect(passing.dynamicMetadata).toBeUndefined();
    for (const policy of [deny, fail]) {
      const failureMode = policy === fail ? "open" : "closed";
      const driver = new KernelDriver(testChain([{ policy, failureMode }]));
      expect(driver.open().send("request_headers").dynamicMetadata).toBeUndefined();
    }
  });
});

describe("the line of an exchange", () => {
  const named = { headers: [...GET, ["x-request-id", "id-1"]] as [string, string][] };

  test("comes when it is over, once, with the messages that came", () => {
    const { log, lines } = recorder("debug");
    const stream = open([{ policy: pass }], { log }).send("request_headers", named);
    expect(lines).toEqual([]);
    stream.send("request_body", { body: "x" }).send("response_headers", { headers: [[":status", "404"]] });
    stream.incoming.cancel();
    expect(lines).toMatchObject([
      {
        level: "debug",
        request_id: "id-1",
        message: "Exchange ended",
        metadata: {
          route: "test",
          outcome: "passed",
          status: 404,
          phases: ["request_headers", "request_body", "response_headers"],
        },
      },
    ]);
  });

  test("says who decided and why, as the refusal does", async () => {
    const { log, lines } = recorder("debug");
    open([{ name: "gate", policy: deny }], { log }).send("request_headers", named);
    const driver = new KernelDriver({ test: "unavailable" }, { log });
    driver.open().send("request_headers", named);
    await settle();
    expect(lines.map(({ request_id }) => request_id)).toEqual(["id-1", "id-1", "id-1"]);
    const [denied, refused, ended] = lines as { message: string; metadata: Record<string, unknown> }[];
    expect(denied?.metadata).toMatchObject({
      outcome: "denied",
      reason: "no",
      policy: "gate:v1.0.0",
      status: 403,
    });
    expect(refused).toMatchObject({ level: "warn", message: "Refused an exchange" });
    const { reason, error_id } = refused!.metadata;
    expect(ended?.metadata).toMatchObject({ outcome: "failed", reason, error_id, status: 503 });
  });

  test("is there at info for what is sampled, also of a route without policies, else not", () => {
    const { log, lines } = recorder("info");
    const routes = { test: testChain([{ policy: pass }]), empty: testChain([]) };
    for (const sampleRate of [0, 1]) {
      const driver = new KernelDriver(routes, { log, sampleRate });
      for (const route of ["test", "empty", "nobody"]) {
        const stream = driver.open(route).send("request_headers", named);
        if (!stream.ended) stream.send("response_headers");
      }
      expect(lines.map(({ level, request_id }) => [level, request_id])).toEqual(
        sampleRate === 0
          ? []
          : [
              ["info", "id-1"],
              ["info", "id-1"],
              ["info", "id-1"],
            ],
      );
    }
  });

  test("edge: the time of hooks counts also where they were given up, or dressed a denial", async () => {
    const { log, lines } = recorder("debug");
    const forever: Policy = { onRequest: () => new Promise(() => {}) };
    const cancelled = open([{ policy: forever }], { log }).send("request_headers", named);
    const gate = Promise.withResolvers<void>();
    const dress: TestStep = { appliesToDenials: true, policy: { onResponse: () => gate.promise } };
    const refused = open([dress], { log }).send("request_headers", named).send("request_headers");
    await Bun.sleep(30);
    cancelled.incoming.cancel();
    gate.resolve();
    await settle();
    expect(refused.denial?.status).toBe(500);
    const ended = lines.filter(({ message }) => message === "Exchange ended") as {
      metadata: { outcome: string; duration_ms: number };
    }[];
    expect(ended.map(({ metadata }) => metadata.outcome)).toEqual(["cancelled", "failed"]);
    for (const { metadata } of ended) expect(metadata.duration_ms).toBeGreaterThan(25);
  });

  test("edge: bytes that are no message are a line without an id", () => {
    const { log, lines } = recorder("debug");
    const stream = open([{ policy: pass }], { log });
    stream.incoming.message(Uint8Array.of(0xff, 0xff));
    expect(lines).toMatchObject([
      { request_id: "", message: "Cannot process a message from Envoy" },
      {
        request_id: "",
        message: "Exchange ended",
        metadata: { outcome: "failed", reason: "internal_error" },
      },
    ]);
  });
});
