import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Policy, type PolicyFactory, respond } from "@policy-engine/sdk";
import type { RegistryEntry } from "../policy/registry.ts";
import { runCli } from "./cli.ts";
import { BUILD, entryOf } from "./fixtures/policies.ts";

const BODIES = "requiresRequestBody: buffered\nrequiresResponseBody: buffered\n";

/** Makes texts loud, in both directions. */
const loud: PolicyFactory = (): Policy => ({
  onRequest: (ctx) => ({ body: ctx.text()!.toUpperCase(), setHeaders: { "x-loud": ["1", "2"] } }),
  onResponse: (ctx) => ({ body: ctx.text()!.toUpperCase(), status: 203 }),
});

/** Changes what a request begins with, and remembers something. */
const move: PolicyFactory = (): Policy => ({
  onRequest(ctx) {
    ctx.metadata.set("moved", true);
    return {
      path: "/moved",
      method: "PUT",
      authority: "other.example",
      removeHeaders: ["x-gone"],
      dynamicMetadata: { space: { key: 1 } },
    };
  },
});

const deny: PolicyFactory = (): Policy => ({
  onRequest: (ctx) => (ctx.path === "/denied" ? respond(403, { body: "no", reason: "not_you" }) : undefined),
});

const dress: PolicyFactory = (): Policy => ({
  onResponse: (ctx) => ({ setHeaders: { "x-denied": String(ctx.denied) } }),
});

const fail: PolicyFactory = (): Policy => ({
  onRequest(ctx) {
    if (ctx.path === "/fails") throw new Error("broken inside");
    return ctx.path === "/hangs" ? new Promise<undefined>(() => {}) : undefined;
  },
});

/** The same in the request, and something to be seen in the response. */
const flaky: PolicyFactory = async (...place): Promise<Policy> => ({
  ...(await fail(...place)),
  onResponse: () => ({ status: 418 }),
});

const unmade: PolicyFactory = () => Promise.reject(new Error("no database"));

const policies: readonly RegistryEntry[] = [
  entryOf("deny", deny),
  entryOf("dress", dress, "appliesToDenials: true\n"),
  entryOf("fail", fail),
  entryOf("flaky", flaky),
  entryOf("loud", loud, BODIES),
  entryOf("move", move),
  entryOf("unmade", unmade),
];

const ROUTES = `routes:
  - route: all
    policies:
      - { name: deny, version: v1 }
      - { name: loud, version: v1, enabled: false }
      - { name: fail, version: v1 }
      - { name: move, version: v1 }
      - { name: loud, version: v1 }
      - { name: dress, version: v1 }
  - { route: open, policies: [] }
  - route: fail-open
    policies: [{ name: flaky, version: v1, failureMode: open, timeout: 5ms }, { name: move, version: v1 }]
  - { route: posts, policies: [{ name: move, version: v1, executionCondition: request.method == "POST" }] }
  - { route: small, limits: { bodyBytes: 1KiB }, policies: [{ name: loud, version: v1 }] }
  - { route: skipping, policies: [{ name: loud, version: v1, onUnbufferable: skip }] }
  - { route: unmade, policies: [{ name: unmade, version: v1 }] }
  - { route: wrong, policies: [{ name: lowd, version: v1 }] }
`;

let folder: string;
let config: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "run-"));
  await write("routes.yaml", ROUTES);
  config = await write(
    "policy-engine.yaml",
    "routes: { path: routes.yaml }\nextProc: { messageTimeout: 50ms }\nlimits: { bodyBytes: 2KiB }\n",
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await Bun.write(path, content);
  return path;
}

interface Messages {
  readonly route?: string;
  readonly request: string | Uint8Array;
  readonly response?: string | Uint8Array;
}

async function run(
  messages: Messages,
  ...flags: string[]
): Promise<{ code: number; out: string; err: string }> {
  const { route = "all", request, response } = messages;
  const args = ["run", "-c", config, "-r", route, "--request", await write("request", request), ...flags];
  if (response !== undefined) args.push("--response", await write("response", response));
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    colours: false,
  };
  const code = await runCli(args, { policies, build: BUILD, io });
  return { code, out: out.join(""), err: err.join("") };
}

const POST = "POST /orders?page=2 HTTP/1.1\r\nHost: shop.example\r\nX-Gone: 1\r\n\r\nhello";

test("prints what each policy saw and changed, and what upstream and client get", async () => {
  const response = "HTTP/1.1 200 OK\nserver: shop\n\nworld";
  const { code, out, err } = await run({ request: POST, response });
  expect([code, err]).toEqual([0, ""]);
  expect(out).toBe(`Route "all": passed
  1. deny v1.0.0 (request): passed
       saw POST /orders?page=2, 2 headers
  3. fail v1.0.0 (request): passed
       saw POST /orders?page=2, 2 headers
  4. move v1.0.0 (request): passed
       saw POST /orders?page=2, 2 headers
       changed method: PUT
       changed path: /moved?page=2
       changed authority: other.example
       changed x-gone: removed
       changed metadata: moved
  5. loud v1.0.0 (request, after waiting for the body): passed
       saw PUT /moved?page=2, 1 header, body of 5 bytes
       changed x-loud: 1
       changed x-loud: 2
       changed body: HELLO
  5. loud v1.0.0 (response, after waiting for the body): passed
       saw status 200, 2 headers, body of 5 bytes
       changed status: 203
       changed body: WORLD
  6. dress v1.0.0 (response): passed
       saw status 203, 2 headers
       changed x-denied: false
The upstream gets:
  PUT /moved?page=2 HTTP/1.1
  host: other.example
  content-length: 5
  x-loud: 1
  x-loud: 2

  HELLO
The client gets:
  HTTP/1.1 203
  server: shop
  content-length: 5
  x-denied: false

  WORLD
`);
});

test("as JSON, with whole messages at each step", async () => {
  const { code, out } = await run({ request: POST }, "--json");
  expect(code).toBe(0);
  const report = JSON.parse(out);
  expect(report).toMatchObject({
    route: "all",
    outcome: "passed",
    reason: "",
    notRun: [],
    clientResponse: null,
  });
  expect(report.steps.map(({ place }: { place: number }) => place)).toEqual([1, 3, 4, 5]);
  expect(report.steps[3]).toEqual({
    place: 5,
    name: "loud",
    version: "v1.0.0",
    phase: "request",
    waited: true,
    outcome: "passed",
    saw: {
      method: "PUT",
      path: "/moved?page=2",
      authority: "other.example",
      headers: [["content-length", "5"]],
      body: { bytes: 5, text: "hello" },
    },
    changed: { headers: { "x-loud": ["1", "2"] }, body: { bytes: 5, text: "HELLO" } },
  });
  expect(report.upstreamRequest).toMatchObject({ method: "PUT", scheme: "http", body: { text: "HELLO" } });
  expect(report.dynamicMetadata).toEqual({ space: { key: 1 } });
});

describe("ends of an exchange", () => {
  test("a denial: exit code 0, with the hooks that apply to denials", async () => {
    const { code, out } = await run({ request: "GET /denied HTTP/1.1\n\n" });
    expect(code).toBe(0);
    expect(out).toBe(`Route "all": denied, not_you
  1. deny v1.0.0 (request): denied
       saw GET /denied, 0 headers
  6. dress v1.0.0 (denial): passed
       saw status 403, 1 header
       changed x-denied: true
  3. fail v1.0.0 (request): not reached
  4. move v1.0.0 (request): not reached
  5. loud v1.0.0 (request): not reached
  5. loud v1.0.0 (response): not reached
The upstream gets nothing
The client gets:
  HTTP/1.1 403
  content-type: text/plain
  x-denied: true

  no
`);
  });

  test("a policy that fails: exit code 1, and the log says why", async () => {
    const { code, out, err } = await run({ request: "GET /fails HTTP/1.1\n\n" });
    expect(code).toBe(1);
    expect(out).toContain('Route "all": failed, policy_failed');
    expect(out).toContain("3. fail v1.0.0 (request): failed");
    expect(out).toContain("HTTP/1.1 500");
    expect(err).toContain("broken inside");
    expect(out).not.toContain("broken inside");
  });

  test("a policy that does not end in the time for a message: exit code 1", async () => {
    const { code, out } = await run({ request: "GET /hangs HTTP/1.1\n\n" });
    expect(code).toBe(1);
    expect(out).toContain('Route "all": failed, policy_timeout');
    expect(out).toContain("3. fail v1.0.0 (request): failed\n");
    expect(out).toContain("HTTP/1.1 500");
  });

  test.each(["fails", "hangs"])(
    "FR-053: a policy that %s and fails open is left out, in the response too",
    async (how) => {
      const { code, out, err } = await run({
        request: `GET /${how} HTTP/1.1\n\n`,
        response: "HTTP/1.1 200 OK\n\n",
        route: "fail-open",
      });
      expect(code).toBe(0);
      expect(out).toContain('Route "fail-open": passed');
      expect(out).toContain("1. flaky v1.0.0 (request): failed, left out\n");
      expect(out).toContain("2. move v1.0.0 (request): passed");
      expect(out).toContain("1. flaky v1.0.0 (response): left out, as it failed in the request\n");
      expect(err).toContain(how === "fails" ? "broken inside" : "its timeout of 5 ms");
    },
  );

  test("a body that is too large, or cannot be buffered, is refused as the engine does", async () => {
    const large = await run({ request: `POST / HTTP/1.1\n\n${"x".repeat(2049)}` });
    expect([large.code, large.out]).toEqual([1, expect.stringContaining("failed, body_too_large")]);
    expect(large.out).toContain("4. move v1.0.0 (request): passed");
    const small = await run({ request: `POST / HTTP/1.1\n\n${"x".repeat(1025)}`, route: "small" });
    expect([small.code, small.out]).toEqual([1, expect.stringContaining("failed, body_too_large")]);
    const grpc = "POST / HTTP/1.1\ncontent-type: application/grpc\n\nx";
    expect((await run({ request: grpc })).out).toContain("failed, body_unbufferable");
    const { code, out } = await run({ request: grpc, route: "skipping" });
    expect(code).toBe(0);
    expect(out).toContain("1. loud v1.0.0 (request): left out, its body cannot be buffered");
  });

  test("FR-015: a policy whose condition is false is left out", async () => {
    const get = await run({ route: "posts", request: "GET / HTTP/1.1\nHost: a.test\n\n" });
    const post = await run({ route: "posts", request: "POST / HTTP/1.1\nHost: a.test\n\n" });
    expect([get.code, post.code]).toEqual([0, 0]);
    expect(get.out).toContain("1. move v1.0.0 (request): left out, its condition is not true");
    expect(post.out).toContain("1. move v1.0.0 (request): passed");
  });

  test("a route without policies passes everything", async () => {
    const { code, out } = await run({ request: "GET / HTTP/1.1\n\n", route: "open" });
    expect([code, out]).toEqual([
      0,
      'Route "open": passed\n  no policy runs\nThe upstream gets:\n  GET / HTTP/1.1\n',
    ]);
  });
});

describe("files with messages", () => {
  test("JSON, with a body that is text or JSON", async () => {
    const request = {
      method: "POST",
      path: "/a",
      headers: { Host: "h", Accept: ["a", "b"] },
      body: { a: [1] },
    };
    const response = { status: 201, headers: { "x-a": "1" }, body: "text" };
    const messages = {
      request: JSON.stringify(request),
      response: JSON.stringify(response),
      route: "skipping",
    };
    const report = JSON.parse((await run(messages, "--json")).out);
    expect(report.upstreamRequest).toEqual({
      method: "POST",
      path: "/a",
      authority: "h",
      scheme: "http",
      headers: [
        ["accept", "a"],
        ["accept", "b"],
        ["content-type", "application/json"],
        ["content-length", "9"],
        ["x-loud", "1"],
        ["x-loud", "2"],
      ],
      body: { bytes: 9, text: '{"A":[1]}' },
    });
    expect(report.clientResponse).toMatchObject({ status: 203, body: { text: "TEXT" } });
  });

  test("edge: JSON as other programs write it, which is no YAML of people", async () => {
    const request = { path: "/", headers: {}, body: { ["k".repeat(2000)]: "\ud800" } };
    for (const text of [JSON.stringify(request, undefined, "\t"), `\n ${JSON.stringify(request)}`]) {
      const report = JSON.parse((await run({ request: text, route: "open" }, "--json")).out);
      expect(report.upstreamRequest.body.text).toBe(JSON.stringify(request.body));
    }
  });

  test("HTTP, with any bytes and a length of their own", async () => {
    const head = "POST /%C3%A9?\u00e9 HTTP/1.1\r\nx-a: \u00e9\r\n";
    const bytes = new Uint8Array([0, 10, 13, 255]);
    const request = Buffer.concat([
      Buffer.from(`${head}content-length: 4\r\n\r\n`),
      bytes,
      Buffer.from("\n"),
    ]);
    const report = JSON.parse((await run({ request, route: "open" }, "--json")).out);
    expect(report.upstreamRequest).toMatchObject({
      path: "/%C3%A9?\u00e9",
      headers: [
        ["x-a", "\u00e9"],
        ["content-length", "4"],
      ],
      body: { bytes: 4, base64: Buffer.from(bytes).toString("base64") },
    });
    const coded = Buffer.concat([
      Buffer.from("POST / HTTP/1.1\ncontent-encoding: gzip\n\n"),
      gzipSync("plain"),
    ]);
    const decoded = await run({ request: coded, route: "skipping" });
    expect(decoded.out).toContain("body of 5 bytes");
    expect(decoded.out).toContain("content-encoding: removed");
  });

  test("edge: what they hold does not drive the terminal", async () => {
    const { out } = await run({ request: "POST / HTTP/1.1\nx: \u009b2J\n\n\u001b[2Jx", route: "open" });
    for (const character of ["\u001b", "\u009b"]) expect(out).not.toContain(character);
  });

  test("a response to HEAD has no body", async () => {
    const response = "HTTP/1.1 200 OK\ncontent-length: 5\n\nworld";
    const { out } = await run({ request: "HEAD / HTTP/1.1\n\n", response, route: "skipping" });
    expect(out).toEndWith("HTTP/1.1 203\n  content-length: 5\n");
  });

  const refused: [string, string, string][] = [
    ["an empty file", "", "in its first line"],
    ["no message", "hello", '"METHOD /PATH HTTP/1.1" is needed'],
    ["a response", "HTTP/1.1 200 OK\n\n", '"METHOD /PATH HTTP/1.1" is needed'],
    ["a line that is no header", "GET / HTTP/1.1\nno header\n\n", "request:2:1: error"],
    ["a folded header", "GET / HTTP/1.1\na: b\n c\n\n", "request:3:1: error"],
    ["a body shorter than its length", "POST / HTTP/1.1\ncontent-length: 9\n\nabc", "it has 3 bytes"],
    ["a body longer than its length", "POST / HTTP/1.1\ncontent-length: 1\n\nabc", "it has 3 bytes"],
    ["two lengths", "POST / HTTP/1.1\ncontent-length: 3\ncontent-length: 3\n\nabc", "it has 3 bytes"],
    ["a length that is none", "POST / HTTP/1.1\ncontent-length: x\n\n", "it has 0 bytes"],
    ["JSON that is broken", '{"path": "/"', "request:1:"],
    ["JSON that is YAML only", "{path: /}", "it is not JSON"],
    ["JSON without path", "{}", "path"],
    ["JSON with unknown keys", '{"path": "/", "url": "/"}', 'Unknown key "url"'],
    ["JSON with a path that is none", '{"path": "orders"}', "/path"],
    ["a file that is too large", "x".repeat(300_000), "bytes, at most"],
  ];
  test.each(refused)("%s: exit code 1", async (_what, request, message) => {
    const { code, out, err } = await run({ request, response: "HTTP/1.1 99 Odd\n\n" });
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(message);
    expect(err).toContain('Cannot read the response: "HTTP/1.1 STATUS" is needed');
  });

  test("that are not there: exit code 1", async () => {
    const { code, err } = await run({ request: "GET / HTTP/1.1\n\n" }, "--response", join(folder, "none"));
    expect([code, err]).toEqual([1, expect.stringContaining("Cannot read the response: it does not exist")]);
  });
});

describe("routes", () => {
  const request = "GET / HTTP/1.1\n\n";

  test("that are not configured, or have errors: exit code 1", async () => {
    const unknown = await run({ request, route: "nope" });
    expect([unknown.code, unknown.out]).toEqual([1, ""]);
    expect(unknown.err).toContain('Cannot run route "nope": it is not configured');
    const wrong = await run({ request, route: "wrong" });
    expect([wrong.code, wrong.out]).toEqual([1, ""]);
    expect(wrong.err).toContain('Did you mean "loud"?');
  });

  test("whose policies cannot be created: exit code 3", async () => {
    const { code, out, err } = await run({ request, route: "unmade" });
    expect([code, out]).toEqual([3, ""]);
    expect(err).toContain("no database");
  });
});
