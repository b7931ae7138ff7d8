// A chain of synchronous policies runs from a message to its answer with no promise and no timer: proven by counting
// what the engine's heap holds and what the timers are asked for, while exchanges go through the public door.
import { heapStats } from "bun:jsc";
import { afterAll, beforeEach, expect, spyOn, test } from "bun:test";
import { type Policy, respond } from "@policy-engine/sdk";
import { envoyMessage, GET, KernelDriver, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import type { Chain } from "../chain/chain.ts";

const EXCHANGES = 200;

const REQUEST = envoyMessage("request_headers", { headers: GET });
const BODY = envoyMessage("request_body", { body: "hello", endOfStream: true });
const RESPONSE = envoyMessage("response_headers", { headers: [[":status", "200"]] });
const RESPONSE_BODY = envoyMessage("response_body", { body: "hello", endOfStream: true });

const schedulers = [
  spyOn(globalThis, "setTimeout"),
  spyOn(globalThis, "setInterval"),
  spyOn(globalThis, "setImmediate"),
  spyOn(globalThis, "queueMicrotask"),
  spyOn(process, "nextTick"),
];
beforeEach(() => {
  for (const scheduler of schedulers) scheduler.mockClear();
});
afterAll(() => {
  for (const scheduler of schedulers) scheduler.mockRestore();
});

/** What so many exchanges made, all of which were answered before the last message's call returned. */
function made(chain: Chain, messages: readonly Uint8Array[]) {
  const driver = new KernelDriver(chain);
  const accept = driver.acceptor();
  let answers = 0;
  let ends = 0;
  const exchange = () => {
    const stream = accept(
      { get: () => "test" },
      {
        send: () => ++answers < 0,
        end: () => ends++,
        fail: () => {},
      },
    );
    for (const message of messages) stream.message(message);
  };
  // The first one pays for what is made once.
  exchange();
  Bun.gc(true);
  const before = heapStats().objectTypeCounts.Promise ?? 0;
  for (let count = 1; count < EXCHANGES; count++) exchange();
  const promises = (heapStats().objectTypeCounts.Promise ?? 0) - before;
  const scheduled = schedulers.reduce((sum, { mock }) => sum + mock.calls.length, 0);
  return { promises, scheduled, answers: answers / EXCHANGES, ends: ends / EXCHANGES };
}

const both: Policy = {
  onRequest: ({ headers, metadata }) => {
    metadata.set("seen", headers.get("x-seen") ?? "nothing");
    return { setHeaders: { "x-request": "1" }, path: "/elsewhere" };
  },
  onResponse: ({ status }) => ({ setHeaders: { "x-response": String(status) }, status: 201 }),
  onEnd: () => {},
};
const steps: readonly TestStep[] = [{ policy: both }, { policy: both, timeoutMs: 100 }];

test("no steps", () => {
  expect(made(testChain([]), [REQUEST])).toEqual({ promises: 0, scheduled: 0, answers: 1, ends: 1 });
});

test("request and response", () => {
  const chain = testChain(steps);
  expect(made(chain, [REQUEST, RESPONSE])).toEqual({ promises: 0, scheduled: 0, answers: 2, ends: 1 });
});

test("a denial, dressed by a policy that applies to denials", () => {
  const chain = testChain([
    { policy: both, appliesToDenials: true },
    { policy: { onRequest: () => respond(403) } },
  ]);
  expect(made(chain, [REQUEST])).toEqual({ promises: 0, scheduled: 0, answers: 1, ends: 1 });
});

test("a policy that fails", () => {
  const failing: Policy = {
    onRequest: () => {
      throw new Error("It fails");
    },
  };
  const chain = testChain([{ policy: failing, failureMode: "open" }, { policy: failing }]);
  const { scheduled, ...rest } = made(chain, [REQUEST]);
  expect(rest).toEqual({ promises: 0, answers: 1, ends: 1 });
  // The log's, which sums up what is repeated.
  expect(scheduled).toBeLessThanOrEqual(1);
});

test("bodies: one timer for each that is waited for, and no promise", () => {
  const chain = testChain([{ policy: both, requestBody: "buffered", responseBody: "buffered" }]);
  const messages = [REQUEST, BODY, RESPONSE, RESPONSE_BODY];
  const { scheduled, ...rest } = made(chain, messages);
  expect(rest).toEqual({ promises: 0, answers: 4, ends: 1 });
  expect(scheduled).toBe(2 * EXCHANGES);
});

test("an asynchronous policy makes promises: they are counted", async () => {
  const { promises, ends } = made(testChain([{ policy: { onRequest: async () => undefined } }]), [REQUEST]);
  expect(promises).toBeGreaterThanOrEqual(EXCHANGES - 1);
  expect(ends).toBe(0);
});
