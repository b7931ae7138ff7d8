import { describe, expect, test } from "bun:test";
import type { RequestContext, ResponseContext } from "@policy-engine/sdk";
import { compiled, decide, exchange, type Facts } from "./condition-fixtures.ts";

const REQUEST: Facts = {
  rawQuery: "page=2&page=3&q=%C3%A9",
  headers: [
    ["x-tier", "gold"],
    ["accept", "text/html"],
    ["accept", "text/plain"],
  ],
  body: '{"total": 12}',
  metadata: { environment: "staging", count: 3, tags: ["a", "b"], nested: { deep: { flag: true } } },
};
const RESPONSE: Facts = {
  ...REQUEST,
  response: { status: 404, headers: [["content-type", "text/html"]], body: "gone" },
};

describe("variables", () => {
  test.each([
    'request.path == "/api/customers"',
    'request.rawPath == "//api/customers"',
    'request.query.page == "2" && request.query["q"] == "é"',
    'request.rawQuery == "page=2&page=3&q=%C3%A9"',
    'request.method == "GET"',
    'request.authority == "Shop.example:8443"',
    'request.host == "shop.example"',
    'request.scheme == "https"',
    'request.headers["x-tier"] == "gold"',
    'request.headers["X-Tier"] == "gold" && "X-TIER" in request.headers',
    'request.headers.accept == "text/html, text/plain"',
    'request.body.contains("total")',
    "bytes(request.body).json().total > 11",
    'request.metadata["environment"] == "staging"',
    'request.original.path == "/before?x=1" && request.original.method == "PUT"',
    'request.original.authority == "first.example" && request.original.scheme == "http"',
    'request.original.headers["x-first"] == "yes"',
    'metadata.environment == "staging" && metadata.count == 3 && metadata.count < 4.5',
    'metadata.tags.exists(tag, tag == "b") && "a" in metadata.tags',
    "metadata.nested.deep.flag == true",
    'route == "orders"',
    'client.address == "192.0.2.7" && client.port == 40000',
    'time > timestamp("2020-01-01T00:00:00Z") && time == time',
    'size(request.headers) == 2 && request.headers.all(name, name in ["x-tier", "accept"])',
    "size(request.query) == 2",
    'cel.bind(h, request.headers, h["x-tier"] == "gold" && h["x-none"] == "")',
  ])("%s", (source) => {
    expect(decide(source, REQUEST)).toBe(true);
    // The request's variables are there in the response phase too.
    expect(decide(source, RESPONSE)).toBe(true);
  });

  test.each([
    ["request.Path", "request.path"],
    ["request.RawPath", "request.rawPath"],
    ["request.Query.page", "request.query.page"],
    ["request.RawQuery", "request.rawQuery"],
    ["request.Method", "request.method"],
    ["request.Authority", "request.authority"],
    ["request.Host", "request.host"],
    ["request.Scheme", "request.scheme"],
    ['request.Headers["x-tier"]', 'request.headers["x-tier"]'],
    ["request.Body", "request.body"],
    ['request["Body"]', "request.body"],
    ['request.Metadata["environment"]', "metadata.environment"],
    ["request.Original.Path", "request.original.path"],
    ["response.Status", "response.status"],
    ['response.Headers["content-type"]', 'response.headers["content-type"]'],
    ["response.Body", "response.body"],
    ["client.Address", "client.address"],
    ["auth.Subject", "auth.subject"],
  ])("the alias %s is %s", (alias, plain) => {
    expect(decide(`${alias} == ${plain}`, RESPONSE)).toBe(true);
    expect(decide(`${alias} != ${plain}`, RESPONSE)).toBe(false);
  });

  test("US4.1 to US4.3: the conditions of the scenarios", () => {
    expect(decide('request.Path.startsWith("/api/")', { path: "/health" })).toBe(false);
    expect(decide('request.Path.startsWith("/api/")', { path: "/api/x" })).toBe(true);
    const writes = 'request.Method in ["POST", "PUT", "DELETE"]';
    expect(decide(writes, { method: "GET" })).toBe(false);
    expect(decide(writes, { method: "PUT" })).toBe(true);
    const staging = 'request.Metadata["environment"] == "staging"';
    expect(decide(staging, { metadata: { environment: "production" } })).toBe(false);
    expect(decide(staging, { metadata: { environment: "staging" } })).toBe(true);
  });

  test("the response has a status, headers and a body", () => {
    expect(
      decide('response.status >= 400 && response.status == 404 && response.body == "gone"', RESPONSE),
    ).toBe(true);
    expect(decide('response.headers["Content-Type"].startsWith("text/")', RESPONSE)).toBe(true);
    expect(decide('response.headers["x-tier"] == ""', RESPONSE)).toBe(true);
  });

  test.each([
    ["shop.example", "shop.example"],
    ["SHOP.example:", "shop.example"],
    ["[2001:DB8::1]:443", "[2001:db8::1]"],
    ["[::1]", "[::1]"],
    ["", ""],
  ])("the host of %j is %j", (authority, host) => {
    expect(decide(`request.host == ${JSON.stringify(host)}`, { authority })).toBe(true);
  });
});

describe("what is missing", () => {
  test("a header or a query parameter is an empty text, but not there", () => {
    expect(decide('request.headers["x-none"] == "" && request.headers.none == ""')).toBe(true);
    expect(decide('request.query["none"] == "" && request.query.none == ""')).toBe(true);
    expect(decide('"x-none" in request.headers || has(request.headers.none)')).toBe(false);
    expect(decide('"none" in request.query || has(request.query.none)')).toBe(false);
    expect(decide('has(request.headers.accept) && "accept" in request.headers', REQUEST)).toBe(true);
    expect(decide('dyn(request.headers)["x-none"] == ""')).toBe(true);
    expect(decide('request.headers["x-none"].startsWith("Bearer ")')).toBe(false);
  });

  test("a header that is empty is there", () => {
    expect(
      decide('"x-e" in request.headers && request.headers["x-e"] == ""', { headers: [["x-e", ""]] }),
    ).toBe(true);
  });

  test("a key of metadata or of the claims is an error, and can be asked for", () => {
    for (const source of [
      'metadata["none"] == "x"',
      'auth.claims.none == "x"',
      'metadata.constructor == "x"',
    ]) {
      expect(() => decide(source)).toThrow("no such key");
    }
    expect(decide('"none" in metadata || has(auth.claims.none)')).toBe(false);
    expect(decide('has(metadata.none) && metadata.none == "x"')).toBe(false);
  });

  test("a response before it is there, and a body nobody asked for, are errors", () => {
    expect(() => decide("response.status == 200")).toThrow("not there");
    expect(() => decide('request.body == ""', { body: null })).toThrow("not there");
    expect(() => decide('response.body == ""', { response: { status: 200, body: null } })).toThrow(
      "not there",
    );
  });
});

describe("auth", () => {
  const auth = {
    subject: "ann",
    scheme: "bearer",
    claims: { roles: ["admin"], tier: "gold", exp: 17e8, org: { id: "o1" } },
  };

  test("is what an authentication policy left", () => {
    const source =
      'auth.subject == "ann" && auth.scheme == "bearer" && "admin" in auth.claims.roles && auth.claims.exp > 1';
    expect(decide(source, { metadata: { auth } })).toBe(true);
    expect(
      decide('auth.claims["tier"] == "gold" && auth.claims.org.id == "o1"', { metadata: { auth } }),
    ).toBe(true);
    const claims = new Map([["tier", "gold"]]);
    expect(decide('auth.claims.tier == "gold"', { metadata: { auth: { claims } } })).toBe(true);
  });

  test.each([
    [undefined],
    [null],
    ["ann"],
    [["ann"]],
    [{ subject: 7, scheme: {}, claims: ["admin"] }],
    [{ claims: null }],
  ])("is empty for %j", (value) => {
    const metadata = value === undefined ? {} : { auth: value };
    const source = 'auth.subject == "" && auth.scheme == "" && size(auth.claims) == 0';
    expect(decide(source, { metadata })).toBe(true);
  });
});

test("the contexts of hooks are what a condition takes", () => {
  const condition = compiled('request.method == "GET"');
  const evaluate: (context: RequestContext | ResponseContext) => boolean = condition.evaluate;
  expect(evaluate(exchange() as RequestContext)).toBe(true);
});

test("only what is read is made", () => {
  const touched: string[] = [];
  const input = new Proxy(exchange(), {
    get(target, key, receiver) {
      touched.push(String(key));
      return Reflect.get(target, key, receiver);
    },
  });
  expect(compiled('request.method == "GET" || request.headers["x"] == "y"').evaluate(input)).toBe(true);
  expect(touched).toEqual(["method"]);
});

test("one evaluation leaves nothing for the next", () => {
  const condition = compiled('request.headers.exists(name, request.headers[name] == "gold")');
  expect(condition.evaluate(exchange(REQUEST))).toBe(true);
  expect(condition.evaluate(exchange())).toBe(false);
  expect(condition.evaluate(exchange(REQUEST))).toBe(true);
});
