// What a hook may take and what its failure does: failure modes, timeouts, the time of a message, signals.
// The faults themselves: executor-faults.test.ts.
import { describe, expect, spyOn, test } from "bun:test";
import { type Policy, type RequestResult, respond } from "@policy-engine/sdk";
import { type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { RecordingLogger } from "../../testing/recording-logger.ts";
import type { Step } from "./chain.ts";
import { Exchange } from "./executor.ts";
import { headerList } from "./header-list.ts";
import type { MessageBudget } from "./message-budget.ts";
import type { ReceivedRequest } from "./messages.ts";

interface Options {
  readonly budget?: MessageBudget;
  readonly request?: Partial<ReceivedRequest>;
  readonly bodyBytes?: number;
}

function start(steps: readonly TestStep[], { budget, request, bodyBytes }: Options = {}) {
  const log = new RecordingLogger();
  const compiled = testChain(steps, bodyBytes === undefined ? {} : { bodyBytes });
  const logged = new Map(
    compiled.steps.map((step) => [step, { ...step, log: log.child({ policy: step.name }) }]),
  );
  const of = (list: readonly Step[]) => list.map((step) => logged.get(step)!);
  const { steps: all, request: first, response } = compiled;
  const chain = { ...compiled, steps: of(all), request: of(first), response: of(response) };
  const received: ReceivedRequest = {
    ...{ method: "POST", path: "/", authority: "a.test", scheme: "http", lines: headerList([]) },
    ...{ client: { address: "", port: 0 }, attributes: {}, ...request },
  };
  return { exchange: new Exchange({ chain, request: received, budget, log }), lines: log.lines };
}

const OK = { status: 200, lines: headerList([]) };
const forever = (): Promise<never> => new Promise(() => {});
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
function thrower(): never {
  throw new Error("on purpose");
}

/** Ways in which a request hook fails, some with changes that must not be left behind. */
const FAILURES: [string, Policy["onRequest"]][] = [
  ["throws", thrower],
  ["rejects", () => Promise.reject(new Error("on purpose"))],
  ["returns nonsense", () => ({ setHeaders: { "x-left": "behind" }, nonsense: 1 }) as RequestResult],
  [
    "returns what is half right",
    () =>
      ({
        ...{ path: "/left", setHeaders: { "x-left": "behind" }, body: "left" },
        dynamicMetadata: { left: { behind: 1n } },
      }) as RequestResult,
  ],
  ["denies with a bad header", () => respond(403, { headers: { "content-length": "1" } })],
  ["never ends", forever],
];

describe("FR-053: failure mode open", () => {
  test.each(FAILURES)("FR-054: a policy that %s is left out, and the others run", async (_, onRequest) => {
    const ran: string[] = [];
    const ends: string[] = [];
    const { exchange, lines } = start([
      {
        ...{
          name: "bad",
          failureMode: "open",
          timeoutMs: 5,
          requestBody: "buffered",
          appliesToDenials: true,
        },
        policy: {
          onRequest(ctx) {
            ctx.metadata.set("left", "behind");
            return onRequest!(ctx);
          },
          onResponse: () => void ran.push("response of the bad one"),
          onEnd: (ctx) => void ends.push(ctx.outcome),
        },
      },
      { policy: { onRequest: () => void ran.push("next"), onResponse: () => void ran.push("response") } },
    ]);
    await exchange.runRequest();
    expect([exchange.denial, exchange.requestDone, ran]).toEqual([undefined, true, ["next"]]);
    expect([exchange.request.edits(), exchange.request.newContent]).toEqual([[], undefined]);
    expect([exchange.dynamicMetadata, exchange.metadata.size]).toEqual([{}, 0]);
    await exchange.runResponse(OK);
    expect(ran).toEqual(["next", "response"]);
    // On a slow machine a rejection may come after its time was over, which is a line at debug.
    const errors = lines.filter(({ level }) => level === "error");
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({
      message: "Policy failed in onRequest",
      fields: { policy: "bad", failure_mode: "open", error_id: expect.stringMatching(/^[0-9a-f]{16}$/) },
    });
    exchange.end("answered");
    expect(ends).toEqual(["passed"]);
    expect(exchange.chain.steps[0]!.metrics.failed.value).toBe(1);
  });

  test("in the response: what was there stays, and the others run", async () => {
    const { exchange } = start([
      { failureMode: "open", policy: { onResponse: () => ({ status: 201, nonsense: 1 }) as never } },
      { policy: { onResponse: (ctx) => ({ setHeaders: { "x-status": String(ctx.status) } }) } },
    ]);
    await exchange.runRequest();
    await exchange.runResponse(OK);
    expect(exchange.denial).toBeUndefined();
    expect([exchange.response?.status, exchange.response?.headers.get("x-status")]).toEqual([200, "200"]);
  });

  test("a policy that was left out does not dress a denial; one that has not run yet does", async () => {
    const { exchange } = start([
      {
        ...{ failureMode: "open", appliesToDenials: true },
        policy: { onRequest: thrower, onResponse: () => ({ setHeaders: { "x-bad": "1" } }) },
      },
      { policy: { onRequest: () => respond(403) } },
      {
        ...{ failureMode: "open", appliesToDenials: true },
        policy: { onRequest: thrower, onResponse: () => ({ setHeaders: { "x-fine": "1" } }) },
      },
    ]);
    await exchange.runRequest();
    const { headers } = exchange.denial!.response;
    expect([headers.has("x-bad"), headers.has("x-fine")]).toEqual([false, true]);
  });

  test.each(["open", "closed"] as const)("a failure over a denial is ignored: %s", async (failureMode) => {
    const { exchange, lines } = start([
      { policy: { onRequest: () => respond(403, { reason: "no" }) } },
      { failureMode, appliesToDenials: true, policy: { onResponse: thrower } },
      { appliesToDenials: true, policy: { onResponse: () => ({ setHeaders: { "x-after": "1" } }) } },
    ]);
    await exchange.runRequest();
    expect(exchange.denial).toMatchObject({ reason: "no", outcome: "denied" });
    expect(exchange.denial?.response.headers.has("x-after")).toBe(true);
    expect(lines).toHaveLength(1);
  });
});

describe("FR-053: a body that cannot be decoded", () => {
  const gzip = headerList([{ name: "content-encoding", value: "gzip" }]);
  const broken = new TextEncoder().encode("this is no gzip");
  const reads = (failureMode: "open" | "closed", ran: string[]): TestStep[] => [
    {
      ...{ failureMode, requestBody: "buffered", responseBody: "buffered" },
      policy: { onRequest: () => void ran.push("q"), onResponse: () => void ran.push("s") },
    },
    { policy: { onRequest: () => void ran.push("next"), onResponse: () => void ran.push("after") } },
  ];

  test.each(["open", "closed"] as const)("is a failure of the policy: %s", async (failureMode) => {
    const ran: string[] = [];
    const { exchange } = start(reads(failureMode, ran), { request: { lines: gzip, hasBody: true } });
    await exchange.runRequest();
    await exchange.resume("request", broken);
    expect(exchange.denial?.reason).toBe(failureMode === "open" ? undefined : "policy_failed");
    expect(ran).toEqual(failureMode === "open" ? ["next"] : []);
    expect(exchange.request.newContent).toBeUndefined();
  });

  test.each(["open", "closed"] as const)("in the response: %s", async (failureMode) => {
    const ran: string[] = [];
    const { exchange } = start(reads(failureMode, ran));
    await exchange.runRequest();
    await exchange.runResponse({ status: 200, lines: gzip, hasBody: true });
    await exchange.resume("response", broken);
    expect(exchange.denial?.reason).toBe(failureMode === "open" ? undefined : "policy_failed");
    expect(ran).toEqual(failureMode === "open" ? ["q", "next", "after"] : ["q", "next"]);
  });

  test("edge: body size limit: a limit is not the policy's failure", async () => {
    const { exchange } = start(reads("open", []), { request: { hasBody: true }, bodyBytes: 3 });
    await exchange.runRequest();
    await exchange.resume("request", new Uint8Array(4));
    expect(exchange.denial).toMatchObject({ reason: "body_too_large", response: { status: 413 } });
  });
});

describe("edge: Policy execution timeout", () => {
  test("closed: 500 with an error id; counted, logged, and the signal says so", async () => {
    let signal: AbortSignal | undefined;
    const onRequest = (ctx: { signal: AbortSignal }) => {
      signal = ctx.signal;
      return forever();
    };
    const { exchange, lines } = start([{ name: "slow", timeoutMs: 5, policy: { onRequest } }]);
    await exchange.runRequest();
    expect(exchange.denial).toMatchObject({
      ...{ outcome: "failed", reason: "policy_timeout" },
      details: "policy_engine:policy_timeout:slow:v1.0.0",
      response: { status: 500 },
    });
    const { metrics } = exchange.chain.steps[0]!;
    expect([metrics.failed.value, metrics.failure("timeout").value]).toEqual([1, 1]);
    const [reason, errorId] = Buffer.from(exchange.denial!.response.body.content).toString().split(" ");
    expect(lines[0]?.fields).toMatchObject({ reason: reason!, error_id: errorId!, failure_mode: "closed" });
    expect(String(lines[0]?.fields.error)).toBe(
      "TimeoutError: Policy slow:v1.0.0 did not end within its timeout of 5 ms",
    );
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toMatchObject({ name: "TimeoutError" });
  });

  test.each([
    ["resolves", () => respond(200)],
    ["rejects", thrower],
  ])("what comes too late is ignored: it %s", async (how, outcome) => {
    const late = Promise.withResolvers<void>();
    const { exchange, lines } = start([
      {
        ...{ failureMode: "open", timeoutMs: 1 },
        policy: {
          async onRequest(ctx) {
            await late.promise;
            ctx.metadata.set("late", true);
            expect(ctx.signal.aborted).toBe(true);
            return outcome();
          },
        },
      },
    ]);
    await exchange.runRequest();
    late.resolve();
    await pause(1);
    expect([exchange.denial, exchange.metadata.size, exchange.requestDone]).toEqual([undefined, 0, true]);
    expect(exchange.chain.steps[0]!.metrics.failed.value).toBe(1);
    expect(lines.map(({ level }) => level)).toEqual(how === "rejects" ? ["error", "debug"] : ["error"]);
  });

  test("one policy's time does not abort another's signal", async () => {
    const signals: AbortSignal[] = [];
    const keep = (ctx: { signal: AbortSignal }) => void signals.push(ctx.signal);
    const { exchange } = start([
      { policy: { onRequest: async (ctx) => keep(ctx) } },
      {
        ...{ failureMode: "open", timeoutMs: 1 },
        policy: {
          onRequest(ctx) {
            keep(ctx);
            return forever();
          },
        },
      },
      { policy: { onRequest: keep } },
    ]);
    await exchange.runRequest();
    exchange.end("cancelled");
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true, false]);
  });

  test("a synchronous hook, and one that ends in time, are not cut", async () => {
    const { exchange } = start([
      {
        timeoutMs: 1,
        policy: {
          onRequest() {
            const end = performance.now() + 5;
            while (performance.now() < end);
            return { setHeaders: { "x-a": "1" } };
          },
        },
      },
      { timeoutMs: 60_000, policy: { onRequest: async () => ({ setHeaders: { "x-b": "1" } }) } },
    ]);
    await exchange.runRequest();
    expect([
      exchange.denial,
      exchange.request.headers.has("x-a"),
      exchange.request.headers.has("x-b"),
    ]).toEqual([...[undefined, true, true]]);
  });

  test("a cancelled exchange has no timeouts afterwards", async () => {
    const { exchange, lines } = start([{ timeoutMs: 5, policy: { onRequest: forever } }]);
    const done = exchange.runRequest();
    exchange.end("cancelled");
    await done;
    await pause(20);
    expect([lines, exchange.denial, exchange.chain.steps[0]!.metrics.failed.value]).toEqual([
      [],
      undefined,
      0,
    ]);
  });
});

describe("the time of a message", () => {
  const budget = { stepsMs: 50, denialMs: 60 };
  /** As if the message had come long ago. */
  const old = () => performance.now() - 1_000;

  test("closed: the hook that works when it ends has failed", async () => {
    const { exchange, lines } = start([{ timeoutMs: 60_000, policy: { onRequest: forever } }], { budget });
    exchange.messageArrived(performance.now());
    await exchange.runRequest();
    expect(exchange.denial).toMatchObject({ reason: "policy_timeout", response: { status: 500 } });
    expect(String(lines[0]?.fields.error)).toContain("did not end within the time of the message");
  });

  test("open: the hook is left out, and 504 is the answer where steps remain", async () => {
    const ran: string[] = [];
    const last = start([{ failureMode: "open", policy: { onRequest: forever } }], { budget });
    last.exchange.messageArrived(performance.now());
    await last.exchange.runRequest();
    expect(last.exchange.denial).toBeUndefined();
    const { exchange, lines } = start(
      [
        { failureMode: "open", policy: { onRequest: forever } },
        { name: "next", failureMode: "open", policy: { onRequest: () => void ran.push("next") } },
      ],
      { budget },
    );
    exchange.messageArrived(performance.now());
    await exchange.runRequest();
    expect(exchange.denial).toMatchObject({ reason: "message_timeout", response: { status: 504 } });
    expect([ran, exchange.requestDone]).toEqual([[], false]);
    expect(lines.at(-1)?.fields).toMatchObject({ reason: "message_timeout", next: "next:v1.0.0" });
  });

  test("a synchronous hook that overran it decides if it is the last, else 504", async () => {
    const ran: string[] = [];
    const step = (name: string): TestStep => ({ policy: { onRequest: () => void ran.push(name) } });
    const alone = start([step("a")], { budget });
    alone.exchange.messageArrived(old());
    await alone.exchange.runRequest();
    expect([alone.exchange.denial, ran]).toEqual([undefined, ["a"]]);
    const two = start([step("b"), step("c")], { budget });
    two.exchange.messageArrived(old());
    await two.exchange.runRequest();
    expect([two.exchange.denial?.reason, ran]).toEqual(["message_timeout", ["a", "b"]]);
  });

  test("also in the response", async () => {
    const step: TestStep = { policy: { onResponse: () => undefined } };
    const { exchange } = start([step, step], { budget });
    exchange.messageArrived(performance.now());
    await exchange.runRequest();
    exchange.messageArrived(old());
    await exchange.runResponse(OK);
    expect(exchange.denial).toMatchObject({ reason: "message_timeout", response: { status: 504 } });
  });

  test("a step that had no time left may still dress the denial", async () => {
    const ran: string[] = [];
    const dress: TestStep = {
      appliesToDenials: true,
      policy: { onResponse: (ctx) => void ran.push(`denied: ${ctx.denied}`) },
    };
    const { exchange } = start([{ policy: { onResponse: () => void ran.push("first") } }, dress], { budget });
    await exchange.runRequest();
    exchange.messageArrived(old());
    await exchange.runResponse(OK);
    expect([exchange.denial?.reason, ran]).toEqual(["message_timeout", ["first", "denied: true"]]);
  });

  test("steps that do not run in it do not remain: those left out, and those that wait for a body", async () => {
    const never = { requestBody: false, response: false, responseBody: false };
    const { exchange } = start(
      [
        { policy: { onRequest: () => undefined } },
        {
          policy: { onRequest: thrower },
          condition: { source: "false", reads: never, evaluate: () => false },
        },
        { policy: { onRequest: () => ({ setHeaders: { "x-read": "1" } }) }, requestBody: "buffered" },
      ],
      { budget, request: { hasBody: true } },
    );
    exchange.messageArrived(old());
    await exchange.runRequest();
    expect([exchange.denial, exchange.suspended.request]).toEqual([undefined, true]);
    exchange.messageArrived(performance.now());
    await exchange.resume("request", new Uint8Array(1));
    expect([exchange.denial, exchange.request.headers.has("x-read")]).toEqual([undefined, true]);
  });

  test("what dresses a denial is cut too, and does not keep what is synchronous from it", async () => {
    const dress = (name: string) => ({ setHeaders: { [name]: "1" } });
    const { exchange } = start(
      [
        { policy: { onRequest: () => respond(403) } },
        { appliesToDenials: true, policy: { onResponse: forever } },
        { appliesToDenials: true, policy: { onResponse: () => dress("x-now") } },
        { appliesToDenials: true, policy: { onResponse: () => pause(1).then(() => dress("x-later")) } },
      ],
      { budget },
    );
    exchange.messageArrived(old());
    await exchange.runRequest();
    const { headers } = exchange.denial!.response;
    expect([headers.has("x-now"), headers.has("x-later")]).toEqual([true, false]);
  });

  test("what dresses the denial of a hook that took all of it still has a time", async () => {
    const dress = () => pause(1).then(() => ({ setHeaders: { "x-later": "1" } }));
    const { exchange } = start(
      [{ policy: { onRequest: forever } }, { appliesToDenials: true, policy: { onResponse: dress } }],
      { budget: { stepsMs: 5, denialMs: 60_000 } },
    );
    exchange.messageArrived(performance.now());
    await exchange.runRequest();
    expect(exchange.denial).toMatchObject({ reason: "policy_timeout" });
    expect(exchange.denial?.response.headers.has("x-later")).toBe(true);
  });

  test("a hook that ends in time leaves no timer behind", async () => {
    const set = spyOn(globalThis, "setTimeout");
    const cleared = spyOn(globalThis, "clearTimeout");
    try {
      const { exchange } = start([{ policy: { onRequest: () => Promise.resolve() } }], { budget });
      exchange.messageArrived(performance.now());
      await exchange.runRequest();
      const timers: unknown[] = set.mock.results.map(({ value }) => value);
      expect(timers).toHaveLength(1);
      expect(cleared.mock.calls.flat()).toEqual(timers as never);
    } finally {
      set.mockRestore();
      cleared.mockRestore();
    }
  });

  test("a message that comes while a hook works does not lengthen its time", async () => {
    const { exchange } = start(
      [{ failureMode: "open", policy: { onRequest: forever } }, { policy: { onRequest: () => undefined } }],
      { budget },
    );
    exchange.messageArrived(performance.now());
    const done = exchange.runRequest();
    exchange.messageArrived(performance.now() + 60_000);
    await done;
    expect(exchange.denial?.reason).toBe("message_timeout");
  });
});
