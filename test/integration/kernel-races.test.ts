// Hooks, their timeouts, the time of messages and of bodies, broken messages, half-closes and cancellations, all
// within a few milliseconds and in any order. Whatever comes first: an exchange has one end, nothing passes a policy
// that has not let it pass, everybody hears of the end once, and nothing is held afterwards.
// RACE_EXCHANGES sets how many (default 3,000); RACE_SEED repeats what is chosen, not how the timers fall.
import { expect, test } from "bun:test";
import { type Policy, respond } from "@policy-engine/sdk";
import { type DrivenStream, GET, KernelDriver, type TestStep, testChain } from "../helpers/kernel.ts";
import { Random } from "../helpers/random.ts";
import { waitFor } from "../helpers/wait.ts";

const EXCHANGES = Number(process.env.RACE_EXCHANGES ?? 3_000);
const SEED = Number(process.env.RACE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const AT_ONCE = 150;

const WHOLE: { readonly protocolConfig: object } = {
  protocolConfig: { requestBodyMode: 2, responseBodyMode: 2 },
};
const POST = [[":method", "POST"], ...GET.slice(1)] as const;
const WAITS = ["none", "microtask", "turn", 1, 4, 5, "forever"] as const;
const ACTS = ["pass", "pass", "pass", "change", "deny", "throw"] as const;

type Wait = (typeof WAITS)[number];

/** What a policy of a race did. */
interface Racer {
  readonly step: TestStep;
  requests: number;
  /** How often it let the request pass. */
  passed: number;
  responses: number;
  ends: number;
}

function waitForIt(wait: Wait): Promise<void> | undefined {
  if (wait === "none") return undefined;
  if (wait === "microtask") return Promise.resolve();
  if (wait === "turn") return new Promise((resolve) => setImmediate(resolve));
  return wait === "forever" ? new Promise(() => {}) : Bun.sleep(wait);
}

/** A hook that does one of the acts, at once or later. */
function hook(
  random: Random,
  { body, begins, passes }: { body: boolean; begins(): void; passes(): void },
): () => never {
  const [wait, kind] = [random.chance(0.3) ? "none" : random.pick(WAITS), random.pick(ACTS)];
  const act = () => {
    if (kind === "throw") throw new Error("on purpose");
    if (kind === "deny") return respond(403);
    passes();
    return kind === "change" ? { setHeaders: { "x-a": "1" }, ...(body && { body: "new" }) } : undefined;
  };
  return () => {
    begins();
    return (waitForIt(wait)?.then(act) ?? act()) as never;
  };
}

function racer(random: Random): Racer {
  const [requestBody, responseBody] = [random.chance(0.4), random.chance(0.4)];
  const onRequest = hook(random, {
    body: requestBody,
    begins: () => void made.requests++,
    passes: () => void made.passed++,
  });
  const onResponse = hook(random, {
    body: responseBody,
    begins: () => void made.responses++,
    passes() {},
  });
  const both = random.pick(["request", "response", "both"]);
  const policy: Policy = {
    ...(both !== "response" && { onRequest }),
    ...(both !== "request" && { onResponse }),
    onEnd: () => void made.ends++,
  };
  const made: Racer = {
    step: {
      policy,
      requestBody: requestBody ? "buffered" : "none",
      responseBody: responseBody ? "buffered" : "none",
      failureMode: random.chance(0.4) ? "open" : "closed",
      appliesToDenials: both !== "request" && random.chance(0.4),
      timeoutMs: random.pick([1, 4, 5, 1_000]),
    },
    ...{ requests: 0, passed: 0, responses: 0, ends: 0 },
  };
  return made;
}

/** The messages of an exchange, more or less, and what may come between them. */
function happenings(random: Random, stream: DrivenStream): (() => unknown)[] {
  const send =
    (...message: Parameters<DrivenStream["send"]>) =>
    () =>
      stream.send(...message);
  const rest = (direction: "request" | "response") => {
    const body = send(`${direction}_body`, { body: "abc", endOfStream: true });
    return random.chance(0.4) ? [] : [random.chance(0.8) ? body : send(`${direction}_trailers`)];
  };
  const [request, response] = [rest("request"), rest("response")];
  const all: (() => unknown)[] = [
    send("request_headers", { headers: POST, endOfStream: request.length === 0, extra: WHOLE }),
    ...request,
    send("response_headers", { headers: [[":status", "200"]], endOfStream: response.length === 0 }),
    ...response,
  ];
  const insert = (what: () => unknown) => all.splice(1 + random.below(all.length), 0, what);
  if (random.chance(0.15)) all.splice(1 + random.below(all.length - 1), 1);
  if (random.chance(0.15)) insert(random.pick(all));
  if (random.chance(0.2)) insert(() => stream.incoming.cancel());
  if (random.chance(0.2)) insert(() => stream.incoming.halfClose());
  if (random.chance(0.1)) insert(() => stream.incoming.message(Uint8Array.of(0xff)));
  return all;
}

async function race(random: Random): Promise<string[]> {
  const racers = Array.from({ length: 1 + random.below(4) }, () => racer(random));
  const driver = new KernelDriver(testChain(racers.map(({ step }) => step)), {
    messageTimeoutMs: random.pick([5, 6, 20]),
    bodyWaitMs: random.pick([1, 4, 20]),
  });
  const stream = driver.open();
  for (const happen of happenings(random, stream)) {
    const before = stream.answers.length;
    happen();
    const answered = () => stream.answers.length > before || stream.ended || stream.failed;
    // Envoy waits for an answer; others do not.
    if (random.chance(0.4)) for (let turn = 0; turn < 12 && !answered(); turn++) await Bun.sleep(2);
    else await waitForIt(random.pick(WAITS.slice(0, -1)));
  }
  stream.incoming.halfClose();
  await waitFor("the end of what still ran", () => stream.ended || stream.failed);
  stream.incoming.cancel();
  await Bun.sleep(6);
  return [...faultsOf(stream, racers), ...leftIn(driver)];
}

function faultsOf(stream: DrivenStream, racers: readonly Racer[]): string[] {
  const faults: string[] = [];
  if (stream.ended === stream.failed) faults.push(`ended ${stream.ended}, failed ${stream.failed}`);
  if (stream.stray > 0) faults.push("an answer behind the end");
  const kinds = stream.answers.map(({ response }) => response.case);
  const passed = kinds.includes("responseHeaders") || (stream.ended && stream.denial === undefined);
  for (const [place, { step, requests, passed: times, responses, ends }] of racers.entries()) {
    if (requests > 1 || responses > 1) faults.push(`policy ${place} ran twice`);
    if (ends !== (requests + responses > 0 ? 1 : 0)) faults.push(`policy ${place} heard of ${ends} ends`);
    if (!passed || step.policy.onRequest === undefined) continue;
    if (requests === 0 || (times === 0 && step.failureMode === "closed"))
      faults.push(`passed without policy ${place}`);
  }
  return faults;
}

function leftIn({ memory, retained, metrics }: KernelDriver): string[] {
  const left = { memory: memory.used, retained, streams: metrics.streamsActive.value };
  return Object.entries(left).flatMap(([what, count]) => (count === 0 ? [] : `${count} of ${what} left`));
}

test(`FR-052: ${EXCHANGES} exchanges whose events race each have one end (RACE_SEED=${SEED})`, async () => {
  const random = new Random(SEED);
  for (let done = 0; done < EXCHANGES; done += AT_ONCE) {
    const races = Array.from({ length: AT_ONCE }, () => race(new Random(random.below(2 ** 31))));
    expect((await Promise.all(races)).filter((faults) => faults.length > 0)).toEqual([]);
  }
});
