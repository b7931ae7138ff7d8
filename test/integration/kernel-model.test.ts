// The kernel against a model of list order. Legal exchanges must come out as the model says; illegal ones must
// neither crash the kernel nor let a message pass whose steps have not all run, on the whole of its body.
// MODEL_EXCHANGES sets how many (default 4,000); MODEL_SEED repeats a run.
import { expect, test } from "bun:test";
import {
  type ModelExchange,
  type ModelMessage,
  type ModelStep,
  randomExchange,
  randomSteps,
} from "../helpers/exchange-model.ts";
import { KernelDriver, testChain } from "../helpers/kernel.ts";
import { grouped } from "../helpers/model-lines.ts";
import { toPolicies } from "../helpers/model-policies.ts";
import { type Sent, UNKNOWN } from "../helpers/model-side.ts";
import { PlayedEnvoy } from "../helpers/played-envoy.ts";
import { predict, type Trace } from "../helpers/predict-exchange.ts";
import { Random } from "../helpers/random.ts";
import { UnrulyEnvoy } from "../helpers/unruly-envoy.ts";

const EXCHANGES = Number(process.env.MODEL_EXCHANGES ?? 4000);
const SEED = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));

test(`FR-004, FR-020, FR-028: ${EXCHANGES} random legal exchanges run as the model says (MODEL_SEED=${SEED})`, async () => {
  const random = new Random(SEED);
  const reasons = new Set<string>();
  for (let round = 0; round < EXCHANGES; round++) {
    const steps = randomSteps(random);
    const exchange = randomExchange(random);
    const expected = predict(steps, exchange);
    reasons.add(expected.denied?.reason ?? "passed");
    const ran: string[] = [];
    const driver = new KernelDriver(chainOf(steps, { ran, exchange }), limitsOf(exchange));
    const stream = driver.open();
    const envoy = new PlayedEnvoy(stream, exchange, random);
    const seen = await envoy.play();

    const rest = { faults: envoy.faults, stray: stream.stray, failed: stream.failed, ended: stream.ended };
    const held = { memory: driver.memory.used, retained: driver.retained };
    const found = { ...visible({ ran, ...seen }, expected), ...rest, ...held };
    const wanted = { ...visible(expected, expected), ...WELL_ENDED };
    if (Bun.deepEquals(found, wanted)) continue;
    expect(found, `round ${round}: ${JSON.stringify({ steps, exchange })}`).toEqual(wanted as never);
  }
  // Every outcome must have been met, or the model proves less than it seems to.
  if (EXCHANGES >= 2000) expect([...reasons].sort()).toEqual(OUTCOMES);
}, 3_600_000);

const WELL_ENDED = { faults: [], stray: 0, failed: false, ended: true, memory: 0, retained: 0 };
const OUTCOMES = [
  "body_memory_exhausted",
  "body_too_large",
  "body_unbufferable",
  "change_too_late",
  "denied",
  "passed",
  "policy_failed",
  "unsupported_body_mode",
];

function chainOf(steps: readonly ModelStep[], { ran, exchange }: { ran: string[]; exchange: ModelExchange }) {
  const responseOrder = exchange.reversed ? "reversed" : "listed";
  return testChain(toPolicies(steps, ran), { responseOrder });
}

function limitsOf({ bodyBytes, bodyMemory }: ModelExchange) {
  return { bodyBytes, bodyMemory };
}

/** What a client, an upstream and the policies can tell. */
function visible(trace: Trace, expected: Trace): object {
  const { ran, denied } = trace;
  const response = sentOf(trace.response);
  if (denied === undefined) return { ran, denied, request: sentOf(trace.request), response };
  // A request that is denied may never reach the upstream: what Envoy holds of it does not matter.
  const body = expected.response.body === UNKNOWN ? UNKNOWN : response.body;
  // The engine's own answer tells its type.
  const { "content-type": _, ...lines } = response.lines;
  return { ran, denied: denied.reason, response: { ...response, lines, body } };
}

function sentOf({ lines, body, start }: Sent) {
  return { lines: grouped(lines), body, start };
}

test(`edge: ${EXCHANGES} random illegal exchanges are refused, and never skip a step (MODEL_SEED=${SEED})`, async () => {
  const random = new Random(SEED + 1);
  let passed = 0;
  for (let round = 0; round < EXCHANGES; round++) {
    const steps = randomSteps(random);
    const base = random.pick(["wide", "wide", "unknown", "streamed"] as const);
    const ran: string[] = [];
    const driver = new KernelDriver(testChain(toPolicies(steps, ran)));
    const stream = driver.open(random.chance(0.9) ? "test" : "");
    const envoy = new UnrulyEnvoy(stream, { random, base });
    await envoy.play();
    const label = `round ${round}: ${JSON.stringify({ steps, base, sent: envoy.sent, ran })}`;
    const held = [stream.stray, driver.retained, driver.memory.used, driver.metrics.streamsActive.value];
    if (held.some((count) => count !== 0)) expect(held, label).toEqual([0, 0, 0, 0]);
    if (stream.answers.length > envoy.sent.length)
      expect(stream.answers.length, label).toBe(envoy.sent.length);

    const request = envoy.wentOn("request");
    const response = envoy.wentOn("response");
    const exchange = { ...BOUNDLESS, base, request: request ?? NOTHING, response: response ?? NOTHING };
    if (request !== undefined) {
      passed++;
      const onRequest = steps.map(({ response: _, ...step }) => step);
      const { ran: wanted, denied } = predict(onRequest, exchange);
      const found = { ran: ran.filter((hook) => hook.startsWith("q")), denied: undefined };
      if (!Bun.deepEquals(found, { ran: wanted, denied }))
        expect(found, label).toEqual({ ran: wanted, denied } as never);
    }
    if (response !== undefined) {
      const { ran: wanted, denied } = predict(steps, exchange);
      const found = { ran, denied: undefined };
      if (!Bun.deepEquals(found, { ran: wanted, denied }))
        expect(found, label).toEqual({ ran: wanted, denied } as never);
    }
  }
  expect(passed).toBeGreaterThan(EXCHANGES / 10);
}, 3_600_000);

const NOTHING: ModelMessage = { lines: [], shape: "nothing", content: "", unbufferable: false };
const BOUNDLESS = { method: "GET", status: 200, reversed: false, bodyBytes: 1024, bodyMemory: 4096 } as const;
