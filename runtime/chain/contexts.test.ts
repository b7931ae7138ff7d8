import { describe, expect, test } from "bun:test";
import { type Policy, type RequestContext, type RequestResult, respond } from "@policy-engine/sdk";
import { SILENT, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { Exchange } from "./executor.ts";
import { headerList } from "./header-list.ts";
import type { ReceivedRequest } from "./messages.ts";

const RESPONSE = { status: 200, lines: headerList([]) };

interface Options extends Partial<ReceivedRequest> {
  readonly headers?: readonly [string, string][];
  readonly metadata?: Record<string, string>;
}

function exchange(steps: readonly (Policy | TestStep)[], options: Options = {}): Exchange {
  const { headers = [], metadata = {}, ...received } = options;
  const testSteps = steps.map((step) => ("policy" in step ? step : { policy: step }));
  return new Exchange({
    chain: testChain(testSteps, { metadata }),
    request: {
      method: "GET",
      path: "/",
      authority: "a.test",
      scheme: "http",
      lines: headerList(headers.map(([name, value]) => ({ name, value }))),
      client: { address: "10.0.0.1", port: 4711 },
      attributes: { "source.address": "10.0.0.1:4711" },
      ...received,
    },
    log: SILENT,
  });
}

/** For steps that are all synchronous: the run is over when it returns. */
function now(run: void | Promise<void>): void {
  expect(run).toBeUndefined();
}

describe("metadata", () => {
  test("US7.1: a later request hook reads what an earlier one wrote", () => {
    const seen: unknown[] = [];
    now(
      exchange([
        { onRequest: (ctx) => void ctx.metadata.set("user", "u1") },
        { onRequest: (ctx) => void seen.push(ctx.metadata.get("user")) },
      ]).runRequest(),
    );
    expect(seen).toEqual(["u1"]);
  });

  test("US7.2: response hooks read what request hooks wrote, also asynchronous ones", async () => {
    const seen: unknown[] = [];
    const running = exchange([
      { onResponse: (ctx) => void seen.push(ctx.metadata.get("flag"), ctx.metadata.get("sync")) },
      {
        onRequest: async (ctx) => {
          await Promise.resolve();
          ctx.metadata.set("flag", true);
        },
      },
      { onRequest: (ctx) => void ctx.metadata.set("sync", 1) },
    ]);
    await running.runRequest();
    await running.runResponse(RESPONSE);
    expect(seen).toEqual([true, 1]);
  });

  test("US7.4: the last writer wins; deletions count", () => {
    const seen: unknown[] = [];
    now(
      exchange([
        { onRequest: (ctx) => void ctx.metadata.set("key", 1).set("gone", 1) },
        { onRequest: (ctx) => void ctx.metadata.set("key", 2).delete("gone") },
        { onRequest: (ctx) => void seen.push(...ctx.metadata) },
      ]).runRequest(),
    );
    expect(seen).toEqual([["key", 2]]);
  });

  test.each<[string, (ctx: RequestContext) => RequestResult | Promise<RequestResult>]>([
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    ["rejects", () => Promise.reject(new Error("x"))],
    ["returns nonsense", () => ({ nonsense: 1 }) as RequestResult],
  ])("edge: what a hook wrote before it %s is discarded", async (_, act) => {
    let seen: unknown[] | undefined;
    const running = exchange([
      { onRequest: (ctx) => void ctx.metadata.set("before", 1) },
      {
        onRequest: (ctx) => {
          ctx.metadata.set("bad", 1).delete("before");
          return act(ctx);
        },
      },
      {
        policy: {
          onResponse: (ctx) => {
            seen = [...ctx.metadata.keys()];
          },
        },
        appliesToDenials: true,
      },
    ]);
    await running.runRequest();
    expect(seen).toEqual(["before"]);
    expect([...running.metadata.keys()]).toEqual(["before"]);
  });

  test("what a hook wrote before it denied is kept, for the hooks over its denial", () => {
    const seen: unknown[] = [];
    now(
      exchange([
        {
          onRequest: (ctx) => {
            ctx.metadata.set("who", "u1");
            return respond(403);
          },
        },
        { policy: { onResponse: (ctx) => void seen.push(ctx.metadata.get("who")) }, appliesToDenials: true },
      ]).runRequest(),
    );
    expect(seen).toEqual(["u1"]);
  });

  test("edge: what a hook writes after it returned is discarded", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let late: Promise<void> | undefined;
    const running = exchange([
      {
        onRequest: (ctx) => {
          const { metadata } = ctx;
          metadata.set("key", "in time");
          late = promise.then(() => void metadata.set("key", "late"));
        },
      },
      { onRequest: () => late },
      {
        onRequest: (ctx) => void ctx.metadata.set("seen", ctx.metadata.get("key")),
      },
    ]);
    const done = running.runRequest();
    resolve();
    await done;
    expect(running.metadata).toEqual(
      new Map([
        ["key", "in time"],
        ["seen", "in time"],
      ]),
    );
  });

  test("the operator's metadata lies under it, and no exchange changes it for another", () => {
    const running = exchange(
      [{ onRequest: (ctx) => void ctx.metadata.set("tier", `${ctx.metadata.get("tier")}+`) }],
      {
        metadata: { tier: "gold" },
      },
    );
    now(running.runRequest());
    expect(running.metadata.get("tier")).toBe("gold+");
    expect(running.chain.metadata.get("tier")).toBe("gold");
  });

  test("one context has one map, which is the hook's own until it returns", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = exchange([
      {
        onRequest: (ctx) => {
          expect(ctx.metadata).toBe(ctx.metadata);
          ctx.metadata.set("key", 1);
          return promise;
        },
      },
    ]);
    const done = running.runRequest();
    expect(running.metadata.has("key")).toBe(false);
    resolve();
    await done;
    expect(running.metadata.get("key")).toBe(1);
  });
});

describe("request id", () => {
  const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  const longest = "x".repeat(128);

  test.each([["a"], ["6f1c0c5e-7d3f-4ab1-9d2e-0a3d5f1b2c3d"], ["!~\"'<>"], [longest]])(
    "%j of the header is taken",
    (id) => {
      expect(exchange([], { headers: [["x-request-id", id]] }).requestId).toBe(id);
    },
  );

  test.each([[""], [" "], ["a b"], ["a\tb"], ["a\nb"], ["ü"], ["\x7f"], [`${longest}x`], ["\ufeffa"]])(
    "%j is unfit for a log: an id of our own",
    (id) => {
      expect(exchange([], { headers: [["x-request-id", id]] }).requestId).toMatch(UUID);
    },
  );

  test("missing or sent twice: one of our own, the same for the whole exchange", () => {
    const twice = exchange([], {
      headers: [
        ["x-request-id", "a"],
        ["x-request-id", "b"],
      ],
    });
    expect(twice.requestId).toMatch(UUID);
    const missing = exchange([]);
    expect(missing.requestId).toBe(missing.requestId);
    expect(missing.requestId).not.toBe(exchange([]).requestId);
  });

  test("is what Envoy sent, whatever a policy makes of the header", () => {
    let seen = "";
    const running = exchange(
      [
        { onRequest: () => ({ setHeaders: { "x-request-id": "changed" } }) },
        {
          onRequest: (ctx) => {
            seen = ctx.requestId;
          },
        },
      ],
      { headers: [["x-request-id", "sent"]] },
    );
    now(running.runRequest());
    expect(seen).toBe("sent");
  });
});

describe("what hooks see", () => {
  /** Runs one request hook and gives its context. */
  function contextOf(options: Options): RequestContext {
    let seen: RequestContext | undefined;
    now(
      exchange(
        [
          {
            onRequest: (ctx) => {
              seen = ctx;
            },
          },
        ],
        options,
      ).runRequest(),
    );
    return seen!;
  }

  test.each([
    ["//api/%61dmin/../x?y=1&y=2", "/api/x", "//api/%61dmin/../x", "y=1&y=2"],
    ["/a?", "/a", "/a", ""],
    ["/a?b?c#d", "/a", "/a", "b%3Fc%23d="],
    ["?a=1", "", "", "a=1"],
    ["*", "*", "*", ""],
    ["", "", "", ""],
  ])("the path %j", (path, normalised, raw, query) => {
    const ctx = contextOf({ path });
    expect([ctx.path, ctx.rawPath, String(ctx.query), ctx.original.path]).toEqual([
      normalised,
      raw,
      query,
      path,
    ]);
  });

  test("the query is a copy", () => {
    const ctx = contextOf({ path: "/?a=1" });
    ctx.query.set("a", "2");
    expect(ctx.query.get("a")).toBe("1");
  });

  test("facts of the request; no body, as none was asked for", () => {
    const ctx = contextOf({ method: "m-search", authority: "b.test:81", scheme: "https" });
    expect([ctx.method, ctx.authority, ctx.scheme, ctx.route]).toEqual([
      "m-search",
      "b.test:81",
      "https",
      "test",
    ]);
    expect(ctx.client).toEqual({ address: "10.0.0.1", port: 4711 });
    expect(ctx.attributes["source.address"]).toBe("10.0.0.1:4711");
    expect([ctx.body, ctx.text(), ctx.json()]).toEqual([null, null, null]);
  });
});
