// The limits of bodies that a route lowers, and what the engine tells of the memory that bodies take.
import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { GET, KernelDriver, type TestStep, testChain } from "../../test/helpers/kernel.ts";

const READER: TestStep = { requestBody: "buffered", policy: { onRequest: () => undefined } };
const WHOLE: { protocolConfig: object } = { protocolConfig: { requestBodyMode: 2, responseBodyMode: 2 } };
const PACKED = gzipSync(Buffer.alloc(1000));

function send(
  driver: KernelDriver,
  { body, headers = [] }: { body: Uint8Array; headers?: [string, string][] },
) {
  const stream = driver.open();
  stream.send("request_headers", { headers: [...GET, ...headers], extra: WHOLE });
  if (stream.denial === undefined) stream.send("request_body", { body, endOfStream: true });
  return stream.denial?.status;
}

describe("limits.bodyBytes of a route", () => {
  test.each<[string, Parameters<typeof send>[1]]>([
    ["by its length", { body: Buffer.alloc(101), headers: [["content-length", "101"]] }],
    ["as it comes", { body: Buffer.alloc(101) }],
    ["decoded", { body: PACKED, headers: [["content-encoding", "gzip"]] }],
  ])("a body beyond it is refused %s", (_, message) => {
    expect(PACKED.length).toBeLessThan(100);
    const lowered = new KernelDriver(testChain([READER], { bodyBytes: 100 }), { bodyBytes: 2000 });
    expect(send(lowered, message)).toBe(413);
    const usual = new KernelDriver(testChain([READER]), { bodyBytes: 2000 });
    expect(send(usual, message)).toBeUndefined();
  });

  test("the engine's limit holds beside a larger one", () => {
    const driver = new KernelDriver(testChain([READER], { bodyBytes: 2000 }), { bodyBytes: 100 });
    expect(send(driver, { body: Buffer.alloc(101) })).toBe(413);
    expect(send(driver, { body: Buffer.alloc(100) })).toBeUndefined();
  });
});

test("the gauge shows what bodies take while they are held", () => {
  const waits: TestStep = { requestBody: "raw", policy: { onRequest: () => new Promise<void>(() => {}) } };
  const driver = new KernelDriver(testChain([waits]));
  const stream = driver.open();
  stream.send("request_headers", { headers: GET, extra: WHOLE });
  stream.send("request_body", { body: Buffer.alloc(321), endOfStream: true });
  expect(driver.metrics.expose()).toContain('policy_kernel_body_memory_bytes{worker="main"} 321\n');
  stream.incoming.cancel();
  expect(driver.metrics.expose()).toContain('policy_kernel_body_memory_bytes{worker="main"} 0\n');
});
