// A transport that fails while it is spoken to: the exchange ends, never well, and leaves nothing behind.
import { expect, test } from "bun:test";
import { envoyMessage, GET, KernelDriver, settle, testChain } from "../../test/helpers/kernel.ts";
import { createLogger } from "../observability/log.ts";
import type { IncomingStream } from "../transport/transport.ts";

const HEADERS = envoyMessage("request_headers", { headers: GET });
const BODY = envoyMessage("request_body", { body: "hello", endOfStream: true });
const RESPONSE = envoyMessage("response_headers", { headers: [[":status", "200"]] });

/** A stream whose answers meet with this, and how it ended. */
function open(driver: KernelDriver, onSend: (stream: IncomingStream) => void) {
  const ends: string[] = [];
  const send = () => {
    onSend(stream);
    return false;
  };
  const stream: IncomingStream = driver.acceptor()(
    { get: (name) => (name === "x-route-name" ? "test" : undefined) },
    { send, end: () => ends.push("well"), fail: () => ends.push("failed") },
  );
  return { stream, ends };
}

function broken(): never {
  throw new Error("nothing can be sent");
}

function held({ retained, memory, metrics }: KernelDriver) {
  return { retained, memory: memory.used, active: metrics.streamsActive.value };
}

const NOTHING = { retained: 0, memory: 0, active: 0 };
const buffering = () =>
  testChain([
    {
      policy: { onRequest: () => undefined, onResponse: () => undefined },
      requestBody: "buffered",
      responseBody: "buffered",
    },
  ]);

test("an answer that cannot be sent", () => {
  const driver = new KernelDriver(buffering());
  const { stream, ends } = open(driver, broken);
  stream.message(HEADERS);
  expect([ends, held(driver)]).toEqual([["failed"], NOTHING]);
});

test("an answer that cannot be sent, while a body is held", () => {
  const driver = new KernelDriver(buffering());
  let answers = 0;
  const { stream, ends } = open(driver, () => {
    if (++answers > 1) broken();
  });
  stream.message(HEADERS);
  stream.message(BODY);
  expect([ends, held(driver)]).toEqual([["failed"], NOTHING]);
});

test("an answer that cannot be sent, after an asynchronous hook", async () => {
  const driver = new KernelDriver(testChain([{ policy: { onRequest: async () => undefined } }]));
  const { stream, ends } = open(driver, broken);
  stream.message(HEADERS);
  await settle();
  expect([ends, held(driver)]).toEqual([["failed"], NOTHING]);
});

test("a refusal that cannot be sent, of a body that did not come", async () => {
  const driver = new KernelDriver(buffering(), { bodyWaitMs: 1 });
  let answers = 0;
  const { stream, ends } = open(driver, () => {
    if (++answers > 1) broken();
  });
  stream.message(HEADERS);
  await Bun.sleep(20);
  expect([ends, held(driver)]).toEqual([["failed"], NOTHING]);
});

test("a peer that is given up over an answer is not waited for", async () => {
  const lines: string[] = [];
  const log = createLogger({ level: "warn", format: "json", write: (line) => lines.push(line) });
  const driver = new KernelDriver(buffering(), { bodyWaitMs: 1, log });
  const { stream, ends } = open(driver, (opened) => opened.cancel());
  stream.message(HEADERS);
  stream.message(BODY);
  stream.message(RESPONSE);
  await Bun.sleep(20);
  expect([ends, held(driver), lines]).toEqual([["failed"], NOTHING, []]);
});
