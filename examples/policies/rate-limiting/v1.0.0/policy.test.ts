import { afterEach, beforeEach, describe, expect, setSystemTime, spyOn, test } from "bun:test";
import {
  type Policy,
  type PolicyFactory,
  type PolicyMetadata,
  type RequestContext,
  type RequestResult,
  respond,
} from "@policy-engine/sdk";
import { type TestChain, type TestExchange, testChain, testPolicy } from "@policy-engine/testing";
import type { Params } from "./params.gen.ts";
import * as policy from "./policy.ts";

const definition = import.meta.url;

/** The monotonic clock, in milliseconds. */
let now: number;
let clock: ReturnType<typeof spyOn>;

beforeEach(() => {
  now = 5_000_000;
  clock = spyOn(performance, "now").mockImplementation(() => now);
});

afterEach(() => {
  clock.mockRestore();
  setSystemTime();
});

function rateLimiting(params: object): Promise<TestChain> {
  return testPolicy(policy, { definition, params });
}

type RequestInit = NonNullable<Parameters<TestChain["request"]>[0]>;

/** The statuses of so many requests, one after the other; 0 is one that went on to the upstream. */
async function statuses(chain: TestChain, count: number, request: RequestInit = {}): Promise<number[]> {
  const seen: number[] = [];
  for (let index = 0; index < count; index++) {
    seen.push((await chain.request(request)).answer?.status ?? 0);
  }
  return seen;
}

function from(address: string): RequestInit {
  return { client: { address, port: 40_000 } };
}

describe("counting", () => {
  test("requestsPerSecond is one limit for the route", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 2 });
    expect(await statuses(chain, 4)).toEqual([0, 0, 429, 429]);
    now += 499;
    expect(await statuses(chain, 1)).toEqual([429]);
    now += 1;
    expect(await statuses(chain, 2)).toEqual([0, 429]);
    now += 60_000;
    expect(await statuses(chain, 3)).toEqual([0, 0, 429]);
  });

  test("a fixed window counts anew when it is over", async () => {
    now = 60_000 * 100;
    await using chain = await rateLimiting({
      limits: [{ requests: 3, per: "1m", algorithm: "fixed-window" }],
    });
    expect(await statuses(chain, 4)).toEqual([0, 0, 0, 429]);
    now += 59_999;
    expect(await statuses(chain, 1)).toEqual([429]);
    now += 1;
    expect(await statuses(chain, 4)).toEqual([0, 0, 0, 429]);
  });

  test("a burst may be larger or smaller than the rate", async () => {
    await using larger = await rateLimiting({ limits: [{ requests: 1, per: "1s", burst: 3 }] });
    expect(await statuses(larger, 4)).toEqual([0, 0, 0, 429]);
    await using smaller = await rateLimiting({ limits: [{ requests: 10, per: "1s", burst: 1 }] });
    expect(await statuses(smaller, 2)).toEqual([0, 429]);
    now += 100;
    expect(await statuses(smaller, 2)).toEqual([0, 429]);
  });

  test("several limits: all have to be kept, and a refused request is counted by none", async () => {
    await using chain = await rateLimiting({
      limits: [
        { name: "hour", requests: 4, per: "1h" },
        { name: "second", requests: 2, per: "1s", burst: 2 },
        { name: "address", requests: 3, per: "1h", key: "client.address" },
      ],
    });
    expect(await statuses(chain, 5, from("192.0.2.1"))).toEqual([0, 0, 429, 429, 429]);
    now += 1000;
    // Had the refused ones counted, hour and address would be used up.
    expect(await statuses(chain, 2, from("192.0.2.1"))).toEqual([0, 429]);
    expect(await statuses(chain, 2, from("192.0.2.2"))).toEqual([0, 429]);
    now += 1000;
    expect((await chain.request(from("192.0.2.3"))).answer?.reason).toBe("rate_limited.hour");
  });

  test("a jump of the wall clock means nothing", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 1 });
    expect(await statuses(chain, 2)).toEqual([0, 429]);
    setSystemTime(new Date("2099-01-01"));
    expect(await statuses(chain, 1)).toEqual([429]);
    setSystemTime(new Date("1999-01-01"));
    now += 1000;
    expect(await statuses(chain, 2)).toEqual([0, 429]);
  });

  test("hooks are synchronous", async () => {
    const chain = policy.getPolicy(
      {} as never,
      {
        ...{ requestsPerSecond: 1, key: "route", onMissingKey: "shared", headers: "none" },
        ...{ headersOn: "all", maxKeys: 1000 },
      } as const,
    );
    expect(chain).not.toBeInstanceOf(Promise);
    expect((chain as { onRequest(ctx: unknown): unknown }).onRequest({})).toBeUndefined();
  });
});

describe("keys", () => {
  test("by the client's address, of IPv6 by its /64", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 1, key: "client.address" });
    expect(await statuses(chain, 2, from("192.0.2.1"))).toEqual([0, 429]);
    expect(await statuses(chain, 2, from("192.0.2.2"))).toEqual([0, 429]);
    expect(await statuses(chain, 1, from("2001:db8:0:1::1"))).toEqual([0]);
    expect(await statuses(chain, 1, from("2001:db8:0:1:ffff::2"))).toEqual([429]);
    expect(await statuses(chain, 1, from("2001:db8:0:2::1"))).toEqual([0]);
  });

  test("by a header, whatever its name's case and its letters", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 1, key: { header: "X-Tenant" } });
    for (const value of ["a", "A", "müller", "m\u0075\u0308ller", "😀", "x".repeat(60_000)]) {
      expect(await statuses(chain, 2, { headers: { "x-tenant": value } })).toEqual([0, 429]);
    }
  });

  test("two lines of a header are no way around", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 1, key: { header: "x-tenant" } });
    expect(await statuses(chain, 1, { headers: { "x-tenant": ["a", "b"] } })).toEqual([0]);
    expect(await statuses(chain, 1, { headers: { "x-tenant": ["a", "c"] } })).toEqual([429]);
    expect(await statuses(chain, 1, { headers: {} })).toEqual([429]);
    expect(await statuses(chain, 1, { headers: { "x-tenant": "a" } })).toEqual([0]);
  });

  test("US7.1: by what an earlier policy left in the metadata", async () => {
    const identify: PolicyFactory = () => ({
      onRequest(ctx): RequestResult {
        const auth = JSON.parse(ctx.headers.get("x-auth") ?? "null");
        if (auth !== null) ctx.metadata.set("auth", auth);
      },
    });
    const params = { requestsPerSecond: 1, key: { metadata: "auth.claims.org" } };
    await using chain = await testChain([{ policy: identify }, { policy, definition, params }]);
    const as = (auth: unknown): RequestInit => ({ headers: { "x-auth": JSON.stringify(auth) } });
    const alice = { subject: "alice", claims: { org: "acme" } };
    const bob = { subject: "bob", claims: { org: "acme" } };
    const carol = { subject: "carol", claims: { org: 7 } };
    expect(await statuses(chain, 1, as(alice))).toEqual([0]);
    expect(await statuses(chain, 1, as(bob))).toEqual([429]);
    expect(await statuses(chain, 2, as(carol))).toEqual([0, 429]);
    // Missing, each in its own way: one counter for all.
    const missing = [
      {},
      null,
      { claims: null },
      { claims: { org: "" } },
      { claims: { org: {} } },
      { claims: [] },
    ];
    const seen = await Promise.all(missing.map((auth) => statuses(chain, 1, as(auth))));
    expect(seen.flat()).toEqual([0, 429, 429, 429, 429, 429]);
  });

  test("a metadata path does not lead to what objects inherit", async () => {
    const params = { requestsPerSecond: 1, key: { metadata: "auth.org" }, onMissingKey: "deny" };
    const identify: PolicyFactory = () => ({
      onRequest(ctx): RequestResult {
        ctx.metadata.set("auth", Object.create({ org: "everyone" }));
      },
    });
    await using chain = await testChain([{ policy: identify }, { policy, definition, params }]);
    expect(await statuses(chain, 1)).toEqual([400]);
  });

  test("by an expression; one that has no value counts as missing", async () => {
    const key = { expression: 'request.path.split("/")[2]' };
    await using chain = await rateLimiting({ requestsPerSecond: 1, key });
    expect(await statuses(chain, 2, { path: "/orgs/a/x" })).toEqual([0, 429]);
    expect(await statuses(chain, 1, { path: "/orgs/b/x" })).toEqual([0]);
    expect(await statuses(chain, 1, { path: "/orgs" })).toEqual([0]);
    expect(await statuses(chain, 1, { path: "/teams" })).toEqual([429]);
  });

  test("by several together", async () => {
    const key = ["route", "client.address", { header: "x-a" }, { header: "x-b" }];
    await using chain = await rateLimiting({ requestsPerSecond: 1, key });
    const ask = (a: string, b: string, address = "192.0.2.1") =>
      statuses(chain, 1, { ...from(address), headers: { "x-a": a, "x-b": b } });
    expect(await ask("1", "2")).toEqual([0]);
    expect(await ask("1", "2")).toEqual([429]);
    expect(await ask("2", "1")).toEqual([0]);
    expect(await ask("12", "")).toEqual([0]);
    expect(await ask("", "12")).toEqual([0]);
    expect(await ask("1:2", "")).toEqual([0]);
    expect(await ask("1", "2", "192.0.2.2")).toEqual([0]);
    expect(await ask("1", "2", "192.0.2.2")).toEqual([429]);
  });

  describe("that are missing", () => {
    const key = [{ header: "x-a" }, { header: "x-b" }];
    test("shared: one counter for what looks the same", async () => {
      await using chain = await rateLimiting({ requestsPerSecond: 1, key });
      expect(await statuses(chain, 2)).toEqual([0, 429]);
      expect(await statuses(chain, 2, { headers: { "x-a": "1" } })).toEqual([0, 429]);
      expect(await statuses(chain, 1, { headers: { "x-a": "1", "x-b": "" } })).toEqual([429]);
    });

    test("skip: the limit does not apply, the others do", async () => {
      await using chain = await rateLimiting({
        limits: [
          { name: "a", requests: 1, per: "1h", key, onMissingKey: "skip" },
          { name: "all", requests: 3, per: "1h" },
        ],
      });
      const first = await chain.request({ headers: { "x-a": "1" } });
      expect((await first.response()).headers.get("ratelimit")).toBe('"all";r=2;t=1200');
      expect(await statuses(chain, 3, { headers: { "x-a": "1" } })).toEqual([0, 0, 429]);
    });

    test("skip: without any limit that applies there are no headers", async () => {
      await using chain = await rateLimiting({ requestsPerSecond: 1, key, onMissingKey: "skip" });
      const exchange = await chain.request();
      expect(exchange.metadata.size).toBe(0);
      expect((await exchange.response()).changes).toEqual({});
      expect(await statuses(chain, 3)).toEqual([0, 0, 0]);
      expect(await statuses(chain, 2, { headers: { "x-a": "1", "x-b": "1" } })).toEqual([0, 429]);
    });

    test("deny: 400, and nothing is counted", async () => {
      await using chain = await rateLimiting({
        limits: [
          { name: "all", requests: 1, per: "1h" },
          { name: "a", requests: 1, per: "1h", key, onMissingKey: "deny" },
        ],
      });
      const { answer } = await chain.request();
      expect(answer).toMatchObject({ status: 400, reason: "rate_limit_key_missing" });
      expect(await statuses(chain, 1, { headers: { "x-a": "1", "x-b": "1" } })).toEqual([0]);
    });
  });
});

describe("cost", () => {
  const limited = (cost: string) => rateLimiting({ limits: [{ requests: 10, per: "10s", cost }] });

  test("takes so many units", async () => {
    await using chain = await limited('request.method == "GET" ? 0 : int(request.headers["x-units"])');
    const post = (units: string) => statuses(chain, 1, { method: "POST", headers: { "x-units": units } });
    expect(await post("7")).toEqual([0]);
    expect(await post("4")).toEqual([429]);
    expect(await post("3")).toEqual([0]);
    expect(await post("1")).toEqual([429]);
    expect(await statuses(chain, 1)).toEqual([0]);
    now += 4000;
    expect(await post("4")).toEqual([0]);
  });

  test("more than there ever is is refused without a time", async () => {
    await using chain = await limited("11");
    const { answer } = await chain.request();
    expect([answer?.status, answer?.headers.has("retry-after")]).toEqual([429, false]);
    expect(answer?.headers.get("ratelimit")).toBe('"default";r=10;t=1');
  });

  test.each(["-1", "int(request.headers['x-units'])"])("%s fails the request", async (cost) => {
    await using chain = await limited(cost);
    expect((await chain.request()).outcome).toBe("failed");
  });
});

describe("what clients see", () => {
  const two = [
    { name: "burst", requests: 10, per: "1s", burst: 25 },
    { name: "hour", requests: 2, per: "1h", algorithm: "fixed-window" },
  ];

  async function answered(exchange: TestExchange) {
    return (await exchange.response({ headers: { ratelimit: '"upstream";r=1', "ratelimit-limit": "1" } }))
      .headers;
  }

  test("draft: every limit on responses, added to what the upstream says", async () => {
    now = 3_600_000 * 5 + 1500;
    await using chain = await rateLimiting({ limits: two });
    const passed = await answered(await chain.request());
    expect(passed.getAll("ratelimit-policy")).toEqual(['"burst";q=25, "hour";q=2;w=3600']);
    expect(passed.getAll("ratelimit")).toEqual(['"upstream";r=1', '"burst";r=24;t=1, "hour";r=1;t=3599']);
    await chain.request();
    const { answer } = await chain.request();
    expect(answer).toMatchObject({
      status: 429,
      grpcStatus: 8,
      body: "Too many requests",
      reason: "rate_limited.hour",
    });
    expect([...answer!.headers.entries()].filter(([name]) => name !== "content-type")).toEqual([
      ["ratelimit-policy", '"burst";q=25, "hour";q=2;w=3600'],
      ["ratelimit", '"burst";r=23;t=1, "hour";r=0;t=3599'],
      ["retry-after", "3599"],
    ]);
  });

  test.each([
    [{ requests: 3, per: "1s" }, '"default";q=3;w=1'],
    [{ requests: 7, per: "1m", burst: 14 }, '"default";q=14;w=120'],
    [{ requests: 3, per: "1s", burst: 4 }, '"default";q=4'],
    [{ requests: 999_999, per: "720h" }, '"default";q=999999;w=2592000'],
    [{ requests: 5, per: "1500ms", algorithm: "fixed-window" }, '"default";q=5'],
    [{ requests: 3, per: "1m", algorithm: "fixed-window" }, '"default";q=3;w=60'],
  ])("draft: the time in which all of it comes back, if in whole seconds: %j", async (limit, item) => {
    await using chain = await rateLimiting({ limits: [limit] });
    const passed = await answered(await chain.request());
    expect(passed.getAll("ratelimit-policy")).toEqual([item]);
  });

  test("legacy: the limit that is nearest to its end, in place of the upstream's", async () => {
    await using chain = await rateLimiting({ limits: two, headers: "legacy" });
    const passed = await answered(await chain.request());
    expect(passed.getAll("ratelimit-limit")).toEqual(["2"]);
    expect(passed.get("ratelimit-remaining")).toBe("1");
    expect(passed.get("ratelimit-reset")).toBe("2200");
    expect(passed.getAll("ratelimit")).toEqual(['"upstream";r=1']);
  });

  test("none: nothing but retry-after, and no response phase", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 1, headers: "none" });
    const exchange = await chain.request();
    expect(exchange.metadata.size).toBe(0);
    expect((await exchange.response()).changes).toEqual({});
    const { answer } = await chain.request();
    expect([...answer!.headers.entries()].map(([name]) => name).sort()).toEqual([
      "content-type",
      "retry-after",
    ]);
  });

  test("headersOn: refusals", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 1, headersOn: "refusals" });
    expect((await (await chain.request()).response()).changes).toEqual({});
    expect((await chain.request()).answer?.headers.get("ratelimit")).toBe('"default";r=0;t=1');
  });

  test("retry-after is long enough, to the millisecond", async () => {
    await using chain = await rateLimiting({ limits: [{ requests: 1, per: "90500ms" }] });
    expect(await statuses(chain, 1)).toEqual([0]);
    expect((await chain.request()).answer?.headers.get("retry-after")).toBe("91");
    now += 90_499;
    expect((await chain.request()).answer?.headers.get("retry-after")).toBe("1");
    now += 1;
    expect(await statuses(chain, 1)).toEqual([0]);
  });

  test.each([0, 1])("of several that refuse, the longest wait counts, in any order: %d", async (turn) => {
    const limits = [
      { name: "hour", requests: 1, per: "1h" },
      { name: "minute", requests: 1, per: "1m" },
    ];
    await using chain = await rateLimiting({ limits: turn === 0 ? limits : limits.toReversed() });
    expect(await statuses(chain, 1)).toEqual([0]);
    const { answer } = await chain.request();
    expect([answer?.reason, answer?.headers.get("retry-after")]).toEqual(["rate_limited.hour", "3600"]);
  });

  test("twice in a chain: each has its own counters, and both are shown", async () => {
    const first = { limits: [{ name: "first", requests: 3, per: "1m" }] };
    const second = { limits: [{ name: "second", requests: 2, per: "1m" }] };
    await using chain = await testChain([first, second].map((params) => ({ policy, definition, params })));
    const response = await (await chain.request()).response();
    expect(response.headers.getAll("ratelimit")).toEqual(['"first";r=2;t=20', '"second";r=1;t=30']);
    await chain.request();
    expect((await chain.request()).answer?.reason).toBe("rate_limited.second");
  });

  test("a denial of another policy has no headers", async () => {
    const deny: PolicyFactory = () => ({ onRequest: (): RequestResult => respond(403) });
    const params = { requestsPerSecond: 1 };
    await using chain = await testChain([{ policy, definition, params }, { policy: deny }]);
    const { answer } = await chain.request();
    expect([answer?.status, answer?.headers.has("ratelimit")]).toEqual([403, false]);
  });
});

describe("bounded memory", () => {
  test("more keys than maxKeys share counters, and the log says so once a minute", async () => {
    await using chain = await rateLimiting({ requestsPerSecond: 1, key: { header: "x-k" }, maxKeys: 1000 });
    const warnings = () => chain.logs.filter(({ message }) => message.startsWith("More keys than maxKeys"));
    let passed = 0;
    for (let index = 0; index < 5000; index++) {
      passed += (await statuses(chain, 1, { headers: { "x-k": `key-${index}` } }))[0] === 0 ? 1 : 0;
    }
    expect(passed).toBeGreaterThanOrEqual(1000);
    expect(passed).toBeLessThanOrEqual(2048);
    expect(warnings()).toHaveLength(1);
    now += 60_000;
    expect(await statuses(chain, 1, { headers: { "x-k": "late" } })).toEqual([0]);
  });
});

describe("a change of parameters", () => {
  const DEFAULTS = {
    key: "route",
    onMissingKey: "shared",
    headers: "none",
    headersOn: "all",
    maxKeys: 1000,
  } as const;
  const metadata = { log: { warn: () => {} } } as unknown as PolicyMetadata;
  const limit = { name: "default", requests: 2, per: "1h", algorithm: "gcra" } as const;

  /** As the engine does it when a route changes: the new instance is told the one before. */
  function make(params: Partial<Params>, previous?: Policy): Policy {
    const told = previous === undefined ? metadata : { ...metadata, previous };
    return policy.getPolicy(told, { ...DEFAULTS, ...params }) as Policy;
  }

  /** How many of so many requests pass. */
  function passing(instance: Policy, count: number, keys: (index: number) => string = () => "a"): number {
    let passed = 0;
    for (let index = 0; index < count; index++) {
      const ctx = { headers: { getAll: () => [keys(index)] } } as unknown as RequestContext;
      if (instance.onRequest!(ctx) === undefined) passed++;
    }
    return passed;
  }

  const window = { ...limit, algorithm: "fixed-window" } as const;
  const header = { header: "x-k" };
  const changes: [what: string, before: object, after: object, passed: number][] = [
    ["none", limit, limit, 0],
    ["requests", limit, { ...limit, requests: 4 }, 0],
    ["per: an hour until all is back is half of two", limit, { ...limit, per: "2h" }, 1],
    ["onMissingKey", limit, { ...limit, onMissingKey: "deny" }, 0],
    ["a window's requests", window, { ...window, requests: 5 }, 3],
    ["a window's per", window, { ...window, per: "2h" }, 2],
    ["the name", limit, { ...limit, name: "other" }, 2],
    ["the algorithm", limit, window, 2],
    ["the key", limit, { ...limit, key: header }, 2],
    ["the key, of the same values", { ...limit, key: { header: "x-a" } }, { ...limit, key: header }, 2],
  ];
  test.each(changes)("of %s", (_what, before, after, passed) => {
    now = 7_200_000 * 10;
    const first = make({ limits: [before as typeof limit] });
    expect(passing(first, 9)).toBe(2);
    const second = make({ limits: [after as typeof limit] }, first);
    expect(passing(second, 9)).toBe(passed);
    expect(passing(make({ limits: [after as typeof limit] }, second), 9)).toBe(0);
    // Exchanges that began before still go by the old one.
    expect(passing(first, 9)).toBe(0);
  });

  test("makes room for more keys", () => {
    const first = make({ limits: [limit], key: header });
    expect(passing(first, 5000, String)).toBeLessThan(5000);
    const second = make({ limits: [limit], key: header, maxKeys: 100_000 }, first);
    expect(passing(second, 20_000, (index) => `more-${index}`)).toBeGreaterThan(10_000);
  });

  test("leaves everything as it is where it fails", () => {
    const first = make({ limits: [limit], key: header });
    expect(passing(first, 5000, String)).toBeLessThan(5000);
    const wrong = { ...limit, name: "wrong", cost: "nonsense(" };
    expect(() => make({ limits: [limit, wrong], key: header, maxKeys: 100_000 }, first)).toThrow();
    expect(passing(first, 20_000, (index) => `more-${index}`)).toBeLessThan(1000);
  });
});

describe("US8: refuses parameters", () => {
  const limit = { requests: 1, per: "1s" };
  const refused: [string, object, string][] = [
    ["US8.2: a negative requestsPerSecond", { requestsPerSecond: -5 }, "at least 1"],
    ["US8.2: a requestsPerSecond of zero", { requestsPerSecond: 0 }, "at least 1"],
    ["a requestsPerSecond that is too large", { requestsPerSecond: 1_000_001 }, "at most 1000000"],
    ["a broken requestsPerSecond", { requestsPerSecond: 1.5 }, "whole number"],
    ["none at all", {}, "either requestsPerSecond or limits is needed"],
    ["both", { requestsPerSecond: 1, limits: [limit] }, "either requestsPerSecond or limits is needed"],
    ["no limits", { limits: [] }, '"limits" must not be empty'],
    ["eleven limits", { limits: Array.from({ length: 11 }, () => limit) }, "at most 10 items"],
    ["negative requests", { limits: [{ ...limit, requests: -1 }] }, "at least 1"],
    ["two limits of one name", { limits: [limit, limit] }, 'limits[1].name is "default"'],
    ["a name that no header can show", { limits: [{ ...limit, name: 'a"' }] }, "lower-case letters"],
    ["a time that is too short", { limits: [{ ...limit, per: "99ms" }] }, "100ms to 720h is needed"],
    ["a time that is too long", { limits: [{ ...limit, per: "721h" }] }, "100ms to 720h is needed"],
    ["a time without unit", { limits: [{ ...limit, per: "10" }] }, "A whole number and ms"],
    ["a burst of a window", { limits: [{ ...limit, burst: 2, algorithm: "fixed-window" }] }, "no meaning"],
    ["a burst of years", { limits: [{ requests: 1, per: "720h", burst: 13 }] }, "more than a year"],
    ["an unknown key", { requestsPerSecond: 1, key: "ip" }, "client.address"],
    ["an empty list of keys", { requestsPerSecond: 1, key: [] }, "client.address"],
    ["a wrong expression", { requestsPerSecond: 1, key: { expression: "request.pth" } }, "request.pth"],
    ["an expression of a body", { requestsPerSecond: 1, key: { expression: "request.body" } }, "body"],
    ["a cost that is no number", { limits: [{ ...limit, cost: "request.path" }] }, "type string"],
    ["no room for keys", { requestsPerSecond: 1, maxKeys: 10 }, "at least 1000"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(rateLimiting(params)).rejects.toThrow(message);
  });
});
