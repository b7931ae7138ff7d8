// The kernel against a model of list order. Legal exchanges must come out as the model says; illegal ones must
// neither crash the kernel nor let a request pass whose steps have not all run.
// MODEL_EXCHANGES sets how many (default 4,000); MODEL_SEED repeats a run.
import { expect, test } from "bun:test";
import {
  KINDS,
  type ModelStep,
  predict,
  Random,
  randomHeaders,
  randomSteps,
  toPolicies,
} from "../helpers/exchange-model.ts";
import { type DrivenStream, GET, KernelDriver, settle, testChain } from "../helpers/kernel.ts";

const EXCHANGES = Number(process.env["MODEL_EXCHANGES"] ?? 4000);
const SEED = Number(process.env["MODEL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test(`FR-004: ${EXCHANGES} random legal exchanges run as the model says (MODEL_SEED=${SEED})`, async () => {
  const random = new Random(SEED);
  for (let round = 0; round < EXCHANGES; round++) {
    const steps = randomSteps(random);
    const reversed = random.chance(0.5);
    const request = randomHeaders(random);
    const response = randomHeaders(random);
    const expected = predict(steps, { reversed, request, response });

    const ran: string[] = [];
    const chain = testChain(toPolicies(steps, ran), { responseOrder: reversed ? "reversed" : "listed" });
    const driver = new KernelDriver(chain);
    const stream = driver.open();
    const seen = await exchange(stream, { random, request, response });
    const label = `round ${round}: ${JSON.stringify({ steps, reversed, request, response })}`;

    expect(ran, label).toEqual(expected.ran);
    expect(seen.denied, label).toBe(expected.denied);
    // A request that is denied never reaches the upstream: what Envoy holds of it does not matter.
    const denied = expected.denied !== undefined;
    if (!denied) expect(grouped(seen.request), label).toEqual(grouped(expected.request));
    if (seen.responded || denied) expect(grouped(seen.response), label).toEqual(grouped(expected.response));
    expect([stream.stray, stream.failed, stream.ended], label).toEqual([0, false, true]);
    expect(driver.retained, label).toBe(0);
  }
}, 600_000);

test(`edge: ${EXCHANGES} random illegal exchanges are refused, and never skip a step (MODEL_SEED=${SEED})`, async () => {
  const random = new Random(SEED + 1);
  for (let round = 0; round < EXCHANGES; round++) {
    const steps = randomSteps(random);
    const ran: string[] = [];
    const driver = new KernelDriver(testChain(toPolicies(steps, ran)));
    const stream = driver.open(random.chance(0.9) ? "test" : "");
    const sent: string[] = [];
    for (let count = random.below(12); count > 0; count--) {
      const kind = random.pick(KINDS);
      sent.push(kind);
      if (random.chance(0.05)) stream.incoming.message(garbage(random));
      else
        stream.send(kind, {
          endOfStream: random.chance(0.3),
          headers: kind === "request_headers" ? GET : [[":status", "200"]],
        });
      if (random.chance(0.5)) await settle();
      if (random.chance(0.05)) stream.incoming.halfClose();
      if (random.chance(0.05)) stream.incoming.cancel();
    }
    await settle();
    stream.incoming.cancel();
    const label = `round ${round}: ${JSON.stringify({ steps, sent })}`;
    expect([stream.stray, driver.retained], label).toEqual([0, 0]);
    expect(stream.answers.length, label).toBeLessThanOrEqual(sent.length);
    if (passedOn(stream, "request")) expect(requestStepsRun(ran), label).toEqual(requestStepsOf(steps));
    if (passedOn(stream, "response")) {
      expect(requestStepsRun(ran), label).toEqual(requestStepsOf(steps));
      expect(responseStepsRun(ran), label).toEqual(responseStepsOf(steps));
    }
  }
}, 600_000);

interface Seen {
  denied: number | undefined;
  request: [string, string][];
  response: [string, string][];
  /** Whether the engine asked for the response and answered it. */
  responded: boolean;
}

/** Plays Envoy: sends what the answers ask for, and what an unmindful configuration would send besides. */
async function exchange(
  stream: DrivenStream,
  {
    random,
    request,
    response,
  }: { random: Random; request: [string, string][]; response: [string, string][] },
): Promise<Seen> {
  const seen: Seen = { denied: undefined, request: [...request], response: [...response], responded: false };
  const unasked = random.chance(0.4);
  const absorb = async (lines: [string, string][]) => {
    await settle();
    applyEdits(stream, lines);
    seen.denied = stream.denial?.status;
    return stream.ended;
  };

  stream.send("request_headers", { headers: [...GET, ...request] });
  if (await absorb(seen.request)) return finish(stream, seen);
  if (unasked) stream.send("request_body", { body: "x" });
  if (unasked && random.chance(0.5)) stream.send("request_trailers");
  await settle();
  stream.send("response_headers", { headers: [[":status", "200"], ...response] });
  seen.responded = true;
  await absorb(seen.response);
  return finish(stream, seen);
}

function finish(stream: DrivenStream, seen: Seen): Seen {
  if (stream.denial !== undefined) {
    seen.response = [];
    applyEdits(stream, seen.response);
    seen.response = seen.response.filter(([name]) => name !== "content-type");
  }
  return seen;
}

/** What Envoy does to the headers it holds. */
function applyEdits(stream: DrivenStream, lines: [string, string][]): void {
  for (const edit of stream.edits) {
    const removed = /^-(.+)$/.exec(edit)?.[1];
    const [, name, append, value] = /^([^+=]+)(\+)?=(.*)$/.exec(edit) ?? [];
    const overwritten = append === undefined ? name : undefined;
    for (let at = lines.length - 1; at >= 0; at--) {
      if (lines[at]![0] === (removed ?? overwritten)) lines.splice(at, 1);
    }
    if (removed === undefined && name !== undefined) lines.push([name, value ?? ""]);
  }
}

/** The order of lines matters within a name only. */
function grouped(lines: readonly [string, string][]): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const [name, value] of lines) groups[name] = [...(groups[name] ?? []), value];
  return groups;
}

/** Whether Envoy was told to go on with the request, or with any part of the response. */
function passedOn(stream: DrivenStream, direction: "request" | "response"): boolean {
  const kind = direction === "request" ? /^requestHeaders$/ : /^response/;
  return stream.denial === undefined && stream.answers.some(({ response }) => kind.test(response.case ?? ""));
}

function requestStepsOf(steps: readonly ModelStep[]): string[] {
  return steps.flatMap((step, index) => (step.request === undefined ? [] : [`q${index}`]));
}

function requestStepsRun(ran: readonly string[]): string[] {
  return ran.filter((hook) => hook.startsWith("q"));
}

function responseStepsOf(steps: readonly ModelStep[]): string[] {
  return steps.flatMap((step, index) => (step.response === undefined ? [] : [`s${index}`]));
}

function responseStepsRun(ran: readonly string[]): string[] {
  return ran.filter((hook) => hook.startsWith("s"));
}

function garbage(random: Random): Uint8Array {
  return Uint8Array.from({ length: random.below(40) }, () => random.below(256));
}
