import { describe, expect, test } from "bun:test";
import { type PolicyFactory, type RequestResult, type ResponseResult, respond } from "@policy-engine/sdk";
import { type TestChain, testChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

const definition = import.meta.url;
const APP = "https://app.example.com";
const PARAMS = {
  origins: [APP, "http://localhost:3000", "https://*.preview.example.com", "null"],
  methods: ["GET", "PUT"],
  headers: ["authorization", "content-type"],
  exposeHeaders: ["x-request-id"],
  credentials: true,
};

function cors(params: object = {}): Promise<TestChain> {
  return testPolicy(policy, { definition, params: { ...PARAMS, ...params } });
}

function everyone(params: object = {}): Promise<TestChain> {
  return testPolicy(policy, { definition, params: { origins: ["*"], ...params } });
}

const preflight = (origin: string | string[], headers: Record<string, string> = {}) => ({
  method: "OPTIONS",
  headers: { origin, "access-control-request-method": "PUT", ...headers },
});

describe("a preflight", () => {
  test("is answered with everything that is allowed, and ends there", async () => {
    await using chain = await cors({ maxAge: 60 });
    const { outcome, answer } = await chain.request(preflight(APP));
    expect(outcome).toBe("denied");
    expect(answer).toMatchObject({ status: 204, reason: "preflight", body: "" });
    expect(Object.fromEntries(answer!.headers.entries())).toEqual({
      "access-control-allow-origin": APP,
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "GET, PUT",
      "access-control-allow-headers": "authorization, content-type",
      "access-control-max-age": "60",
      vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    });
  });

  test("for every origin, without credentials", async () => {
    await using chain = await everyone({ methods: ["*"], headers: ["*", "authorization"] });
    const { answer } = await chain.request(preflight("https://anybody.example"));
    expect(Object.fromEntries(answer!.headers.entries())).toEqual({
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "*",
      "access-control-allow-headers": "*, authorization",
      "access-control-max-age": "600",
      vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    });
  });

  test("of an origin that is not allowed is refused, without a CORS header", async () => {
    await using chain = await cors();
    const { answer } = await chain.request(preflight("https://evil.example"));
    expect(answer).toMatchObject({ status: 403, reason: "origin_not_allowed" });
    expect([...answer!.headers.entries()].map(([name]) => name).sort()).toEqual(["content-type", "vary"]);
  });

  test("is told of private networks only where it asks and they are allowed", async () => {
    const asks = preflight(APP, { "access-control-request-private-network": "true" });
    const allowed = async (chain: TestChain, request: object): Promise<string | undefined> =>
      (await chain.request(request)).answer!.headers.get("access-control-allow-private-network");
    await using open = await cors({ privateNetwork: true });
    expect([await allowed(open, asks), await allowed(open, preflight(APP))]).toEqual(["true", undefined]);
    await using closed = await cors();
    expect(await allowed(closed, asks)).toBeUndefined();
  });

  test("is told from other requests with OPTIONS, which pass", async () => {
    await using chain = await cors();
    for (const headers of [{ origin: APP }, { "access-control-request-method": "PUT" }, {}])
      expect((await chain.request({ method: "OPTIONS", headers })).outcome).toBe("passed");
    expect((await chain.request({ ...preflight(APP), method: "GET" })).outcome).toBe("passed");
  });
});

describe("an origin", () => {
  const cases: [origin: string | string[], allowed: boolean][] = [
    [APP, true],
    ["http://localhost:3000", true],
    ["null", true],
    ["https://pr-12.preview.example.com", true],
    ["http://app.example.com", false],
    ["https://app.example.com:8443", false],
    ["https://app.example.com.evil.example", false],
    ["https://evil.example/https://app.example.com", false],
    ["HTTPS://APP.EXAMPLE.COM", false],
    ["https://preview.example.com", false],
    ["https://a.b.preview.example.com", false],
    ["https://.preview.example.com", false],
    ["https://evil.example/.preview.example.com", false],
    ["https://a@evil.preview.example.com", false],
    ["http://a.preview.example.com", false],
    ["https://a.preview.example.com:444", false],
    ["https://*.preview.example.com", false],
    ["", false],
    ["*", false],
    [`${APP} ${APP}`, false],
    [[APP, APP], false],
    [[APP, "https://evil.example"], false],
  ];
  test.each(cases)("%j: %p", async (origin, allowed) => {
    await using chain = await cors();
    const { answer } = await chain.request(preflight(origin));
    expect(answer?.status).toBe(allowed ? 204 : 403);
    const response = await (await chain.request({ headers: { origin } })).response();
    const expected = allowed ? (origin as string) : undefined;
    expect(response.headers.get("access-control-allow-origin")).toBe(expected as string);
    expect(response.headers.has("access-control-allow-credentials")).toBe(allowed);
  });

  test("null is nobody's unless it is named", async () => {
    await using chain = await cors({ origins: [APP] });
    expect((await chain.request(preflight("null"))).answer?.status).toBe(403);
  });
});

describe("a response", () => {
  const upstream = {
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "x-secret",
    "access-control-allow-methods": "DELETE",
    "access-control-allow-headers": "*",
    "access-control-max-age": "1",
    "access-control-allow-private-network": "true",
  };
  const corsOf = (headers: { entries(): Iterable<[string, string]> }) =>
    Object.fromEntries([...headers.entries()].filter(([name]) => name.startsWith("access-control-")));

  test("has this policy's headers in place of the upstream's", async () => {
    await using chain = await cors();
    const exchange = await chain.request({ headers: { origin: APP } });
    expect(exchange.changes).toEqual({});
    expect(corsOf((await exchange.response({ headers: upstream })).headers)).toEqual({
      "access-control-allow-origin": APP,
      "access-control-allow-credentials": "true",
      "access-control-expose-headers": "x-request-id",
    });
  });

  test("has none for an origin that is not allowed, nor without one; the request passes", async () => {
    await using chain = await cors();
    for (const headers of [{ origin: "https://evil.example" }, {}]) {
      const exchange = await chain.request({ headers });
      expect(exchange.outcome).toBe("passed");
      const response = await exchange.response({ headers: upstream });
      expect(corsOf(response.headers)).toEqual({});
      expect(response.headers.getAll("vary")).toEqual(["Origin"]);
    }
  });

  test("varies by origin, and says so once", async () => {
    await using chain = await cors();
    const varyAfter = async (vary: string | string[]): Promise<readonly string[]> => {
      const exchange = await chain.request({ headers: { origin: APP } });
      return (await exchange.response({ headers: { vary } })).headers.getAll("vary");
    };
    expect(await varyAfter("accept")).toEqual(["accept", "Origin"]);
    expect(await varyAfter(["accept", "x-origin, cookie"])).toEqual(["accept", "x-origin, cookie", "Origin"]);
    expect(await varyAfter("accept, ORIGIN")).toEqual(["accept, ORIGIN"]);
    expect(await varyAfter(["accept", "Origin"])).toEqual(["accept", "Origin"]);
    expect(await varyAfter("*")).toEqual(["*"]);
  });

  test("for everyone does not vary", async () => {
    await using chain = await everyone();
    const response = await (await chain.request({ headers: { origin: APP } })).response();
    expect(response.changes).toEqual({ "access-control-allow-origin": ["*"] });
  });

  test("for everyone is the same without an origin: a cache may give it to a page", async () => {
    await using chain = await everyone({ exposeHeaders: ["etag"] });
    const plain = await (await chain.request()).response({ headers: upstream });
    expect(corsOf(plain.headers)).toEqual({
      "access-control-allow-origin": "*",
      "access-control-expose-headers": "etag",
    });
    expect(plain.headers.has("vary")).toBe(false);
  });
});

describe("a denial", () => {
  const deny: PolicyFactory = () => ({
    onRequest: (): RequestResult => respond(401, { headers: { vary: "cookie" }, body: "no" }),
  });
  const fail: PolicyFactory = () => ({
    onRequest(): RequestResult {
      throw new Error("on purpose");
    },
  });
  const first = { policy, definition, params: PARAMS };

  test.each([
    ["of another policy behind it", [first, { policy: deny }], 401],
    ["of another policy in front of it", [{ policy: deny }, first], 401],
    ["of the engine", [first, { policy: fail }], 500],
  ] as const)("%s has the headers, so that a page can read it", async (_what, steps, status) => {
    await using chain = await testChain(steps);
    const { answer } = await chain.request({ headers: { origin: APP } });
    expect(answer?.status).toBe(status);
    expect(answer?.headers.get("access-control-allow-origin")).toBe(APP);
    expect(answer?.headers.getAll("vary").at(-1)).toBe("Origin");
    const foreign = await chain.request({ headers: { origin: "https://evil.example" } });
    expect(foreign.answer?.headers.has("access-control-allow-origin")).toBe(false);
  });

  test.each([
    ["reversed", APP],
    ["listed", undefined],
  ] as const)(
    "of a response (%s) has them where this policy has not run yet",
    async (responseOrder, allowed) => {
      const late: PolicyFactory = () => ({ onResponse: (): ResponseResult => respond(502) });
      await using chain = await testChain([first, { policy: late }], { responseOrder });
      const response = await (await chain.request({ headers: { origin: APP } })).response();
      expect(response.answer?.status).toBe(502);
      expect(response.answer?.headers.get("access-control-allow-origin")).toBe(allowed as string);
    },
  );

  test("does not come to a preflight that this policy answers", async () => {
    await using chain = await testChain([first, { policy: deny }]);
    expect((await chain.request(preflight(APP))).answer?.status).toBe(204);
  });
});

describe("US8: refuses parameters", () => {
  const refused: [string, object, string][] = [
    ["no origins", { origins: [] }, "/origins"],
    ["an origin with a path", { origins: ["https://app.example.com/"] }, "without a path"],
    ["an origin in upper case", { origins: ["https://App.example.com"] }, "in lower case"],
    ["an origin without scheme", { origins: ["app.example.com"] }, "An origin such as"],
    ["a star within a label", { origins: ["https://a*.example.com"] }, "An origin such as"],
    ["two stars", { origins: ["https://*.*.example.com"] }, "An origin such as"],
    ["a star behind a label", { origins: ["https://app.*.com"] }, "An origin such as"],
    ["a star for a domain", { origins: ["https://*.com"] }, "a domain of your own is needed"],
    [
      "a star for a domain with a port",
      { origins: ["https://*.com:8443"] },
      "a domain of your own is needed",
    ],
    ["the port that is left out", { origins: ["https://a.example:443"] }, "leave the port out"],
    ["the port that is left out of http", { origins: ["http://a.example:80"] }, "leave the port out"],
    ["no possible port", { origins: ["https://a.example:70000"] }, "no possible port"],
    ["* and others", { origins: ["*", APP], credentials: false }, "needed alone"],
    ["* with credentials", { origins: ["*"] }, 'origins has "*", which browsers do not take'],
    ["all methods with credentials", { methods: ["*"] }, 'methods has "*", which browsers'],
    ["all headers with credentials", { headers: ["*"] }, 'headers has "*", which browsers'],
    ["all exposed with credentials", { exposeHeaders: ["*"] }, 'exposeHeaders has "*", which browsers'],
    ["* and other methods", { methods: ["*", "GET"], credentials: false }, 'methods has "*" and others'],
    ["a method with a blank", { methods: ["GET, PUT"] }, "/methods/0"],
    ["a header with a line feed", { headers: ["x\n"] }, "/headers/0"],
    ["an age beyond a day", { maxAge: 86_401 }, "/maxAge"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(cors(params)).rejects.toThrow(message);
  });

  test("but not origins of other kinds", async () => {
    const origins = [
      "https://[2001:db8::1]:8443",
      "capacitor://localhost",
      "http://intranet",
      "https://*.example.com:8443",
    ];
    await using chain = await cors({ origins });
    for (const origin of [...origins.slice(0, 3), "https://a.example.com:8443"])
      expect((await chain.request(preflight(origin))).answer?.status).toBe(204);
  });
});
