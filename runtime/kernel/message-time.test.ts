// The time of each message, from the stream's side: what Envoy gets, and when its clock begins anew.
import { expect, test } from "bun:test";
import { type DrivenStream, KernelDriver, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { waitFor } from "../../test/helpers/wait.ts";

const forever = (): Promise<never> => new Promise(() => {});
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function open(
  steps: readonly TestStep[],
  options: { messageTimeoutMs: number; bodyWaitMs?: number },
): { driver: KernelDriver; stream: DrivenStream } {
  const driver = new KernelDriver(testChain(steps), options);
  return { driver, stream: driver.open() };
}

test("edge: Policy execution timeout: a hook that never ends is answered, and everything is given back", async () => {
  const { driver, stream } = open([{ name: "slow", policy: { onRequest: forever } }], {
    messageTimeoutMs: 20,
  });
  stream.send("request_headers");
  await waitFor("answer", () => stream.ended);
  expect(stream.denial).toMatchObject({ status: 500, details: "policy_engine:policy_timeout:slow:v1.0.0" });
  expect([driver.retained, driver.metrics.streamsActive.value]).toEqual([0, 0]);
});

test("two hooks that never end: the first is left out, and 504 is the answer", async () => {
  const slow: TestStep = { failureMode: "open", policy: { onRequest: forever } };
  const { stream } = open([slow, slow], { messageTimeoutMs: 20 });
  stream.send("request_headers");
  await waitFor("answer", () => stream.ended);
  expect(stream.denial).toMatchObject({ status: 504, details: "policy_engine:message_timeout" });
});

test("the wait for a body is not in the time of a message", async () => {
  const step = (name: string): TestStep => ({
    requestBody: "buffered",
    policy: { onRequest: () => ({ setHeaders: { [name]: "1" } }) },
  });
  const { stream } = open([step("x-a"), step("x-b")], { messageTimeoutMs: 500 });
  stream.send("request_headers", {
    headers: [
      [":method", "POST"],
      [":path", "/"],
    ],
    extra: { protocolConfig: { requestBodyMode: 2 } },
  });
  await pause(600);
  stream.send("request_body", { body: "x", endOfStream: true });
  expect(stream.edits).toEqual(["x-a=1", "x-b=1"]);
});

test("what dresses the denial of a body that did not come has a time of its own", async () => {
  const dress: TestStep = {
    appliesToDenials: true,
    policy: { onResponse: () => pause(1).then(() => ({ setHeaders: { "x-dressed": "1" } })) },
  };
  const read: TestStep = { requestBody: "buffered", policy: { onRequest: () => undefined } };
  const { stream } = open([read, dress], { messageTimeoutMs: 500, bodyWaitMs: 600 });
  stream.send("request_headers", {
    headers: [
      [":method", "POST"],
      [":path", "/"],
    ],
    extra: { protocolConfig: { requestBodyMode: 2 } },
  });
  await waitFor("answer", () => stream.ended);
  expect(stream.denial?.status).toBe(408);
  expect(stream.edits).toContain("x-dressed=1");
});

test("the signal of a hook is aborted when Envoy goes away, and nothing is answered", async () => {
  let signal: AbortSignal | undefined;
  const onRequest = (ctx: { signal: AbortSignal }) => {
    signal = ctx.signal;
    return forever();
  };
  const { driver, stream } = open([{ policy: { onRequest } }], { messageTimeoutMs: 20 });
  stream.send("request_headers");
  stream.incoming.cancel();
  expect(signal?.aborted).toBe(true);
  await pause(40);
  expect([stream.answers, driver.retained]).toEqual([[], 0]);
});
