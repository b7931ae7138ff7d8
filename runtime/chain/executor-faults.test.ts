// Faults of policies, cancellation, and onEnd: whatever a hook does, the exchange has one outcome and nothing
// gets past it. Order and short circuits: executor.test.ts.
import { describe, expect, test } from "bun:test";
import { type Policy, type RequestResult, respond } from "@policy-engine/sdk";
import { settle, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { createLogger } from "../observability/log.ts";
import { Exchange } from "./executor.ts";
import { headerList } from "./header-list.ts";

const SECRET = "s3cret";

interface Running {
  readonly exchange: Exchange;
  /** The lines that steps logged. */
  readonly lines: string[];
}

function start(steps: readonly TestStep[]): Running {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", format: "json", write: (line) => void lines.push(line) });
  const compiled = testChain(steps);
  const logged = new Map(compiled.steps.map((step) => [step, { ...step, log }]));
  const chain = {
    ...compiled,
    steps: compiled.steps.map((step) => logged.get(step)!),
    request: compiled.request.map((step) => logged.get(step)!),
    response: compiled.response.map((step) => logged.get(step)!),
  };
  const request = {
    method: "GET",
    path: "/",
    authority: "a.test",
    scheme: "http",
    lines: headerList([]),
    client: { address: "", port: 0 },
    attributes: {},
  };
  return { exchange: new Exchange({ chain, request, log }), lines };
}

const single = (policy: Policy) => start([{ name: "bad", policy }]);
const refusing = (trap: string) =>
  new Proxy({}, { get: fail(trap), has: fail(trap), getPrototypeOf: fail(trap), ownKeys: fail(trap) });

/** For steps that are all synchronous: the run is over when it returns. */
function now(run: void | Promise<void>): void {
  expect(run).toBeUndefined();
}

function fail(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}

class HostileError extends Error {
  override get message(): string {
    throw new Error("message");
  }
  override get stack(): string {
    throw new Error("stack");
  }
}

describe("a failing hook", () => {
  const thrown: [string, () => unknown][] = [
    ["an Error", () => new Error(SECRET)],
    ["undefined", () => undefined],
    ["null", () => null],
    ["a text", () => SECRET],
    ["a symbol", () => Symbol(SECRET)],
    ["a bigint", () => 1n],
    ["a frozen object", () => Object.freeze({ code: 1 })],
    ["a proxy that throws", () => refusing("trap")],
    ["an Error with getters that throw", () => new HostileError()],
    ["a function", () => fail("called")],
    ["a denial: it has to be returned", () => respond(200, { body: SECRET })],
  ];

  test.each(thrown)("edge: throwing %s is a 500 with an error id, and a line in the log", async (_, make) => {
    for (const onRequest of [
      () => {
        throw make();
      },
      () => Promise.reject(make()),
      async () => {
        await Promise.resolve();
        throw make();
      },
    ]) {
      const { exchange, lines } = single({ onRequest });
      await exchange.runRequest();
      expect(exchange.denial).toMatchObject({
        outcome: "failed",
        reason: "policy_failed",
        details: "policy_engine:policy_failed:bad:v1.0.0",
      });
      expect(exchange.denial?.response.status).toBe(500);
      const [reason, errorId = "?"] = Buffer.from(exchange.denial!.response.body.content)
        .toString()
        .split(" ");
      expect(reason).toBe("policy_failed");
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain("Policy failed in onRequest");
      expect(lines[0]).toContain(errorId);
    }
  });

  const nonsense: [string, () => unknown][] = [
    ["null", () => null],
    ["true", () => true],
    ["false", () => false],
    ["a number", () => 403],
    ["text", () => SECRET],
    ["a function", () => () => undefined],
    ["a symbol", () => Symbol("x")],
    ["a list", () => []],
    ["an unknown property", () => ({ setHeader: {} })],
    ["a Response", () => new Response("no", { status: 403 })],
    ["an Error", () => new Error("no")],
    ["a class instance", () => new (class Result {})()],
    ["a proxy that throws", () => refusing("trap")],
    // biome-ignore-start lint/suspicious/noThenProperty: thenables are what is tested
    [
      "an object whose then throws",
      () => ({
        get then() {
          throw new Error("then");
        },
      }),
    ],
    ["a then that is no function", () => ({ then: 1 })],
    // biome-ignore-end lint/suspicious/noThenProperty: see above
    ["a denial with a bad header", () => respond(403, { headers: { "content-length": "1" } })],
    ["a denial with a bad body", () => respond(403, { body: 1 as never })],
  ];

  test.each(nonsense)("FR-022: returning %s fails the policy, at once or later", async (_, make) => {
    const atOnce = single({ onRequest: make as () => RequestResult });
    await atOnce.exchange.runRequest();
    const later = single({ onRequest: async () => make() as RequestResult });
    await later.exchange.runRequest();
    const response = single({ onResponse: make as () => undefined });
    await response.exchange.runResponse({ status: 200, lines: headerList([]) });
    for (const { exchange, lines } of [atOnce, later, response]) {
      expect([exchange.denial?.outcome, exchange.denial?.response.status]).toEqual(["failed", 500]);
      expect([lines.length, lines.join("").includes(SECRET)]).toEqual([1, false]);
    }
  });

  test("changes nothing, and no later hook runs", async () => {
    const ran: string[] = [];
    const { exchange } = start([
      { policy: { onRequest: () => ({ setHeaders: { "x-a": "1" }, dynamicMetadata: { n: 1 as never } }) } },
      { policy: { onRequest: () => void ran.push("q"), onResponse: () => void ran.push("s") } },
    ]);
    now(exchange.runRequest());
    expect([exchange.request.edits(), exchange.dynamicMetadata, ran]).toEqual([[], {}, []]);
  });

  test("is counted by policy and hook", () => {
    const { exchange } = start([
      { policy: { onRequest: fail("x"), onResponse: fail("y") }, appliesToDenials: true },
    ]);
    const [step] = exchange.chain.steps;
    now(exchange.runRequest());
    expect(step?.metrics.failed.value).toBe(2);
    expect(step?.metrics.failure("on_request").value).toBe(1);
    expect(step?.metrics.failure("on_response").value).toBe(1);
    expect([step?.metrics.passed.value, step?.metrics.denied.value]).toEqual([0, 0]);
  });
});

describe("thenables", () => {
  // biome-ignore-start lint/suspicious/noThenProperty: thenables are what is tested
  const thenables: [string, PromiseLike<RequestResult>, number | undefined][] = [
    ["that resolve", { then: (ok) => ok?.(respond(403)) } as PromiseLike<RequestResult>, 403],
    ["that reject", { then: (_, no) => no?.(new Error("x")) } as PromiseLike<RequestResult>, 500],
    ["that throw", { then: fail("then") }, 500],
    [
      "that resolve twice",
      {
        then: (ok) => {
          ok?.(undefined);
          ok?.(respond(403));
        },
      } as PromiseLike<RequestResult>,
      undefined,
    ],
    [
      "that resolve and then throw",
      {
        then: (ok) => {
          ok?.(undefined);
          throw new Error("x");
        },
      } as PromiseLike<RequestResult>,
      undefined,
    ],
  ];
  // biome-ignore-end lint/suspicious/noThenProperty: see above

  test.each(thenables)("%s count as promises do", async (_, thenable, status) => {
    const { exchange } = single({ onRequest: () => thenable as Promise<RequestResult> });
    await exchange.runRequest();
    expect(exchange.denial?.response.status).toBe(status);
    expect(exchange.requestDone).toBe(status === undefined);
  });
});

describe("cancellation", () => {
  test("edge: a late result is dropped, whatever it is, and no later hook runs", async () => {
    for (const late of [{ setHeaders: { "x-a": "1" } }, respond(403), null, new Error("x")]) {
      const ran: string[] = [];
      const { promise, resolve, reject } = Promise.withResolvers<RequestResult>();
      const { exchange, lines } = start([
        {
          policy: {
            onRequest: (ctx) => {
              ctx.metadata.set("late", 1);
              return promise;
            },
          },
        },
        {
          policy: { onRequest: () => void ran.push("q"), onResponse: () => void ran.push("d") },
          appliesToDenials: true,
        },
      ]);
      const done = exchange.runRequest();
      exchange.end("cancelled");
      if (late instanceof Error) reject(late);
      else resolve(late as RequestResult);
      await done;
      await settle();
      expect([exchange.denial, exchange.request.edits(), ran, exchange.metadata.size]).toEqual([
        undefined,
        [],
        [],
        0,
      ]);
      // A rejection is not stray: it is told to who looks for it.
      expect(lines.filter((line) => !line.includes('"level":"debug"'))).toEqual([]);
      expect(lines.length).toBe(late instanceof Error ? 1 : 0);
    }
  });

  test("edge: a result after a refusal is dropped too", async () => {
    const { promise, resolve } = Promise.withResolvers<RequestResult>();
    const { exchange } = single({ onRequest: () => promise });
    const done = exchange.runRequest();
    now(exchange.refuse(500, "out_of_order", "x"));
    resolve(respond(200));
    await done;
    expect(exchange.denial).toMatchObject({ reason: "out_of_order", details: "policy_engine:out_of_order" });
  });

  test("edge: a late hook over a denial adds nothing to what was sent, and none runs after it", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const onResponse = () => promise.then(() => ({ setHeaders: { "x-late": "1" } }));
    const ran: string[] = [];
    const { exchange } = start([
      { policy: { onRequest: () => respond(403) } },
      { policy: { onResponse }, appliesToDenials: true },
      { policy: { onResponse: () => void ran.push("d") }, appliesToDenials: true },
    ]);
    const done = exchange.runRequest();
    exchange.end("cancelled");
    resolve();
    await done;
    expect(exchange.denial?.response.headers.has("x-late")).toBe(false);
    expect(ran).toEqual([]);
  });

  test("the signal: not aborted before, aborted after, also when first asked for then", async () => {
    const signals: AbortSignal[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const asking = single({
      onRequest: (ctx) => {
        signals.push(ctx.signal, ctx.signal);
        expect(ctx.signal.aborted).toBe(false);
        return promise;
      },
    });
    const late = single({
      onRequest: async (ctx) => {
        await promise;
        signals.push(ctx.signal);
      },
    });
    const done = [asking, late].map(({ exchange }) => exchange.runRequest());
    for (const { exchange } of [asking, late]) exchange.end("cancelled");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect(signals[0]).toBe(signals[1]!);
    resolve();
    await Promise.all(done);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
  });

  test("the signal of a hook that works when the exchange is refused is aborted", async () => {
    let signal: AbortSignal | undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    const { exchange } = single({
      onRequest: (ctx) => {
        signal = ctx.signal;
        return promise;
      },
    });
    const done = exchange.runRequest();
    expect(signal?.aborted).toBe(false);
    now(exchange.refuse(500, "out_of_order", "x"));
    expect(signal?.aborted).toBe(true);
    exchange.end("answered");
    resolve();
    await done;
  });

  test("the signal of an exchange that ends well is not aborted: nobody went away", () => {
    let signal: AbortSignal | undefined;
    const { exchange } = single({
      onRequest: (ctx) => {
        signal = ctx.signal;
      },
    });
    now(exchange.runRequest());
    exchange.end("answered");
    expect(signal?.aborted).toBe(false);
  });
});

describe("onEnd", () => {
  /** A step that notes how it ended. */
  const ending = (ends: string[], name: string, policy: Policy): TestStep => ({
    name,
    policy: { ...policy, onEnd: (ctx) => void ends.push(`${name}:${ctx.outcome}:${ctx.reason}`) },
  });

  test.each<[string, Policy, "answered" | "cancelled", string]>([
    ["passed", { onRequest: () => undefined }, "answered", "passed:"],
    ["denied", { onRequest: () => respond(403, { reason: "no" }) }, "answered", "denied:no"],
    ["failed", { onRequest: fail("x") }, "answered", "failed:policy_failed"],
    ["cancelled", { onRequest: () => new Promise<void>(() => {}) }, "cancelled", "cancelled:"],
    ["cancelled", { onRequest: () => respond(403, { reason: "no" }) }, "cancelled", "cancelled:no"],
  ])("is told %s", (_, policy, how, expected) => {
    const ends: string[] = [];
    const { exchange } = start([ending(ends, "a", policy)]);
    void exchange.runRequest();
    expect(ends).toEqual([]);
    exchange.end(how);
    expect(ends).toEqual([`a:${expected}`]);
  });

  test("runs once, in list order, for steps that started, whatever the response order", () => {
    const ends: string[] = [];
    const running = start([
      ending(ends, "a", { onResponse: () => undefined }),
      ending(ends, "b", { onRequest: () => undefined }),
      ending(ends, "c", { onRequest: () => respond(403), onResponse: () => undefined }),
      ending(ends, "d", { onRequest: () => undefined, onResponse: () => undefined }),
    ]);
    now(running.exchange.runRequest());
    running.exchange.end("answered");
    running.exchange.end("answered");
    running.exchange.end("cancelled");
    expect(ends).toEqual(["b:denied:denied", "c:denied:denied"]);
  });

  test("runs for a step that only dressed a denial, and for nobody when no hook had started", () => {
    const ends: string[] = [];
    const dresser = { ...ending(ends, "cors", { onResponse: () => undefined }), appliesToDenials: true };
    const { exchange } = start([{ policy: { onRequest: () => respond(403) } }, dresser]);
    exchange.end("cancelled");
    expect(ends).toEqual([]);
    const other = start([{ policy: { onRequest: () => respond(403) } }, dresser]);
    now(other.exchange.runRequest());
    other.exchange.end("answered");
    expect(ends).toEqual(["cors:denied:denied"]);
  });

  test.each<[string, () => void | Promise<void>]>([
    ["throws", fail("x")],
    ["rejects, though it is not meant to be asynchronous", () => Promise.reject(new Error("x"))],
  ])("that %s is logged and counted, and those after it still run", async (_, onEnd) => {
    const ends: string[] = [];
    const { exchange, lines } = start([
      // The compiler takes asynchronous functions here, too.
      { policy: { onRequest: () => undefined, onEnd: onEnd as () => void } },
      ending(ends, "b", { onRequest: () => undefined }),
    ]);
    now(exchange.runRequest());
    exchange.end("answered");
    await settle();
    expect(ends).toEqual(["b:passed:"]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("Policy failed in onEnd");
    expect(exchange.chain.steps[0]?.metrics.failure("on_end").value).toBe(1);
  });

  test("sees the metadata and the request id of the exchange", () => {
    let seen: unknown[] = [];
    const { exchange } = single({
      onRequest: (ctx) => void ctx.metadata.set("user", "u1"),
      onEnd: (ctx) => {
        seen = [ctx.metadata.get("user"), ctx.requestId, ctx.route];
      },
    });
    now(exchange.runRequest());
    exchange.end("answered");
    expect(seen).toEqual(["u1", exchange.requestId, "test"]);
  });
});
