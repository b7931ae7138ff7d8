// What runs, in which order, and what ends a chain. Faults and cancellation: executor-faults.test.ts.
import { describe, expect, test } from "bun:test";
import { type Policy, respond } from "@policy-engine/sdk";
import { SILENT, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { Exchange } from "./executor.ts";
import { headerList } from "./header-list.ts";

const RESPONSE = { status: 200, lines: headerList([{ name: "x-up", value: "1" }]) };

function exchange(steps: readonly TestStep[], responseOrder: "listed" | "reversed" = "listed"): Exchange {
  return new Exchange({
    chain: testChain(steps, { responseOrder }),
    request: {
      method: "GET",
      path: "/",
      authority: "a.test",
      scheme: "http",
      lines: headerList([]),
      client: { address: "", port: 0 },
      attributes: {},
    },
    log: SILENT,
  });
}

/** Steps that note `q0`, `s0` (response) or `d0` (denial) as they run, each with its own way of doing it. */
function noting(
  ran: string[],
  count: number,
  more: (index: number) => Partial<TestStep> = () => ({}),
): TestStep[] {
  return Array.from({ length: count }, (_, index) => ({
    policy: {
      onRequest: () => void ran.push(`q${index}`),
      onResponse: (ctx) => void ran.push(`${ctx.denied ? "d" : "s"}${index}`),
    },
    ...more(index),
  }));
}

/** For steps that are all synchronous: the run is over when it returns. */
function now(run: void | Promise<void>): void {
  expect(run).toBeUndefined();
}

describe("order", () => {
  test.each([
    ["listed", ["q0", "q1", "q2", "s0", "s1", "s2"]],
    ["reversed", ["q0", "q1", "q2", "s2", "s1", "s0"]],
  ] as const)("FR-004: requests in list order, responses %s", (responseOrder, expected) => {
    const ran: string[] = [];
    const running = exchange(noting(ran, 3), responseOrder);
    now(running.runRequest());
    expect(running.requestDone).toBe(true);
    now(running.runResponse(RESPONSE));
    expect(ran).toEqual([...expected]);
    expect(running.denial).toBeUndefined();
  });

  test("FR-004: a slow hook holds back those after it", async () => {
    const ran: string[] = [];
    const gates = [0, 1].map(() => Promise.withResolvers<void>());
    const slow = (index: number): Policy => ({
      onRequest: async () => {
        ran.push(`begin${index}`);
        await gates[index]?.promise;
        ran.push(`end${index}`);
      },
    });
    const running = exchange([{ policy: slow(0) }, { policy: slow(1) }, ...noting(ran, 1)]);
    const done = running.runRequest();
    expect([ran, running.requestDone]).toEqual([["begin0"], false]);
    gates[1]?.resolve();
    await Promise.resolve();
    expect(ran).toEqual(["begin0"]);
    gates[0]?.resolve();
    await done;
    expect(ran).toEqual(["begin0", "end0", "begin1", "end1", "q0"]);
    expect(running.requestDone).toBe(true);
  });

  test("FR-021: each step sees the request as the one before it left it", () => {
    const seen: unknown[] = [];
    const running = exchange([
      {
        policy: {
          onRequest: () => ({ setHeaders: { "x-n": "1" }, path: "/b//c", query: "q=1", method: "PUT" }),
        },
      },
      {
        policy: {
          onRequest: (ctx) => {
            seen.push(ctx.headers.get("x-n"), ctx.path, ctx.rawPath, ctx.query.get("q"), ctx.method);
            seen.push(ctx.original.path, ctx.original.method, ctx.original.headers.has("x-n"));
          },
          onResponse: (ctx) => void seen.push(ctx.request.method, ctx.status),
        },
      },
    ]);
    now(running.runRequest());
    now(running.runResponse(RESPONSE));
    expect(seen).toEqual(["1", "/b/c", "/b//c", "1", "PUT", "/", "GET", false, "PUT", 200]);
  });

  test("a response hook sees the response as the one before it left it", () => {
    const seen: unknown[] = [];
    const running = exchange([
      { policy: { onResponse: () => ({ status: 503, removeHeaders: ["x-up"] }) } },
      { policy: { onResponse: (ctx) => void seen.push(ctx.status, ctx.headers.has("x-up"), ctx.denied) } },
    ]);
    now(running.runRequest());
    now(running.runResponse(RESPONSE));
    expect(seen).toEqual([503, false, false]);
  });
});

describe("synchronous chains", () => {
  test("stay synchronous: no promise, in no phase", () => {
    const passing = exchange(noting([], 5));
    expect([passing.runRequest(), passing.runResponse(RESPONSE)]).toEqual([undefined, undefined]);
    const denying = exchange([
      ...noting([], 2, () => ({ appliesToDenials: true })),
      { policy: { onRequest: () => respond(403) } },
    ]);
    expect(denying.runRequest()).toBeUndefined();
    expect(exchange([]).runRequest()).toBeUndefined();
    expect(exchange(noting([], 2)).refuse(500, "out_of_order", "x")).toBeUndefined();
  });

  test("a promise is made only from the step on that returned one", async () => {
    const ran: string[] = [];
    const running = exchange([
      ...noting(ran, 2),
      { policy: { onRequest: async () => undefined } },
      ...noting(ran, 1),
    ]);
    const done = running.runRequest();
    expect(ran).toEqual(["q0", "q1"]);
    expect(done).toBeInstanceOf(Promise);
    await done;
    expect(ran).toEqual(["q0", "q1", "q0"]);
  });

  test("limit: long chains do not run out of stack", async () => {
    const ran: string[] = [];
    const running = exchange(noting(ran, 5_000));
    now(running.runRequest());
    now(running.runResponse(RESPONSE));
    expect(ran).toHaveLength(10_000);
    let waited = 0;
    const policy: Policy = { onRequest: async () => void waited++ };
    await exchange(Array.from({ length: 2_000 }, () => ({ policy }))).runRequest();
    expect(waited).toBe(2_000);
  });
});

describe("short circuit", () => {
  test("US2.1: after a 401 neither later request hooks nor response hooks run", () => {
    const ran: string[] = [];
    const gate: Policy = {
      onRequest: () => respond(401, { reason: "bad_token" }),
      onResponse: () => void ran.push("s"),
    };
    const running = exchange([{ name: "jwt", policy: gate }, ...noting(ran, 2)]);
    now(running.runRequest());
    expect(ran).toEqual([]);
    expect(running.denial).toMatchObject({
      outcome: "denied",
      details: "policy_engine:bad_token:jwt:v1.0.0",
    });
    expect([running.denial?.response.status, running.requestDone]).toEqual([401, false]);
  });

  test("US2.2: an asynchronous 403 skips the transformations after it", async () => {
    const ran: string[] = [];
    const running = exchange([{ policy: { onRequest: async () => respond(403) } }, ...noting(ran, 2)]);
    await running.runRequest();
    expect([running.denial?.response.status, ran]).toEqual([403, []]);
  });

  test("US2.3: the next request is decided on its own", () => {
    let count = 0;
    const chain = testChain([{ policy: { onRequest: () => (count++ === 0 ? respond(429) : undefined) } }]);
    const { request } = exchange([]);
    const received = {
      ...request,
      lines: headerList([]),
      client: request.client,
      attributes: {},
      method: "GET",
      path: "/",
    };
    const outcomes = [0, 1].map(() => {
      const running = new Exchange({
        chain,
        request: { ...received, authority: "", scheme: "" },
        log: SILENT,
      });
      now(running.runRequest());
      return running.denial?.response.status;
    });
    expect(outcomes).toEqual([429, undefined]);
  });

  test("FR-024: a denial from a response hook takes the response's place", () => {
    const ran: string[] = [];
    const running = exchange([
      ...noting(ran, 1, () => ({ appliesToDenials: true })),
      { policy: { onResponse: () => respond(502, { body: "no" }) } },
      ...noting(ran, 2, (index) => ({ appliesToDenials: index === 1 })),
    ]);
    now(running.runRequest());
    now(running.runResponse(RESPONSE));
    expect(running.denial?.response.status).toBe(502);
    expect([...running.denial!.response.headers.entries()]).toEqual([["content-type", "text/plain"]]);
    // The first has run on the response itself; of those after the denial, the one that applies to denials.
    expect(ran).toEqual(["q0", "q0", "q1", "s0", "d1"]);
  });
});

describe("appliesToDenials", () => {
  const dressing = (name: string, more: Policy = {}): TestStep => ({
    policy: { onResponse: (ctx) => ({ appendHeaders: { "x-dress": `${name}${ctx.status}` } }), ...more },
    appliesToDenials: true,
  });
  const gate: TestStep = { policy: { onRequest: () => respond(403) } };

  test.each([
    ["listed", ["a403", "b403"]],
    ["reversed", ["b403", "a403"]],
  ] as const)(
    "runs in response order (%s), also for steps that the request never reached",
    (order, expected) => {
      const ran: string[] = [];
      const running = exchange([dressing("a"), gate, ...noting(ran, 1), dressing("b")], order);
      now(running.runRequest());
      expect(running.denial?.response.headers.getAll("x-dress")).toEqual([...expected]);
      expect(ran).toEqual([]);
    },
  );

  test("waits for asynchronous hooks, one after the other", async () => {
    const slow: Policy = {
      onResponse: async (ctx) => {
        await Promise.resolve();
        return { appendHeaders: { "x-dress": `slow${ctx.headers.getAll("x-dress").length}` }, status: 401 };
      },
    };
    const running = exchange([gate, dressing("a"), dressing("b", slow), dressing("c")]);
    const done = running.runRequest();
    expect(done).toBeInstanceOf(Promise);
    await done;
    expect(running.denial?.response.headers.getAll("x-dress")).toEqual(["a403", "slow1", "c401"]);
    expect(running.denial?.response.status).toBe(401);
  });

  test.each<[string, () => never | Promise<never>]>([
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    ["rejects", () => Promise.reject(new Error("x"))],
    ["returns nonsense", () => ({ setHeaders: { "x-dress": "1" }, nonsense: 1 }) as never],
  ])(
    "a hook that %s changes nothing: the first denial stands, the others still run",
    async (_, onResponse) => {
      const running = exchange([dressing("a"), dressing("bad", { onResponse }), dressing("c"), gate]);
      await running.runRequest();
      expect(running.denial).toMatchObject({ outcome: "denied", reason: "denied" });
      expect(running.denial?.response.headers.getAll("x-dress")).toEqual(["a403", "c403"]);
    },
  );

  test("a respond there is ignored, the others still run", () => {
    const running = exchange([gate, dressing("x", { onResponse: () => respond(200) }), dressing("b")]);
    now(running.runRequest());
    expect(running.denial?.response.status).toBe(403);
    expect(running.denial?.response.headers.getAll("x-dress")).toEqual(["b403"]);
  });

  test("applies to faults and refusals of the engine too", () => {
    const broken: Policy = {
      onRequest: () => {
        throw new Error("x");
      },
    };
    const failing = exchange([{ policy: broken }, dressing("a")]);
    now(failing.runRequest());
    const refused = exchange([dressing("a")]);
    now(refused.refuse(500, "out_of_order", "x"));
    for (const running of [failing, refused]) {
      expect(running.denial?.response.headers.getAll("x-dress")).toEqual(["a500"]);
    }
  });

  test("race: a refusal while a request hook runs: each hook once, one at a time, and both wait for all", async () => {
    const order: string[] = [];
    const slow = (name: string, gate?: Promise<void>): TestStep =>
      dressing(name, {
        onResponse: async () => {
          order.push(`${name} begins`);
          await gate;
          order.push(`${name} ends`);
          return { appendHeaders: { "x-dress": name } };
        },
      });
    const request = Promise.withResolvers<void>();
    const first = Promise.withResolvers<void>();
    const running = exchange([
      { policy: { onRequest: () => request.promise } },
      slow("a", first.promise),
      slow("b"),
    ]);
    const ran = running.runRequest();
    const refused = running.refuse(500, "out_of_order", "x");
    request.resolve();
    await Promise.resolve();
    await Promise.resolve();
    first.resolve();
    await refused;
    expect(running.denial?.response.headers.getAll("x-dress")).toEqual(["a", "b"]);
    await ran;
    expect(order).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });

  test("race: a refusal while a denial is being dressed: the denial stands", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = exchange([
      gate,
      dressing("a", { onResponse: () => promise.then(() => ({ setHeaders: { "x-dress": "a" } })) }),
    ]);
    const ran = running.runRequest();
    const refused = running.refuse(500, "out_of_order", "x");
    resolve();
    await Promise.all([ran, refused]);
    expect(running.denial).toMatchObject({ outcome: "denied", reason: "denied" });
    expect(running.denial?.response.status).toBe(403);
    expect(running.denial?.response.headers.get("x-dress")).toBe("a");
  });
});
