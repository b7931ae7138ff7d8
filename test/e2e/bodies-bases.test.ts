// Base configurations in which Envoy sends bodies in another way than it is asked to: what is enforced all the
// same, and what is refused.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { onRequest, onResponse, route, tag, tagResponse } from "../helpers/body-routes.ts";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientResponse, HttpConnection, request, requestHttp2 } from "../helpers/http.ts";
import { type EnvoyParts, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { fingerprint } from "../helpers/upstream-reply.ts";
import { waitFor } from "../helpers/wait.ts";

const routes = [
  route("read", onRequest({ log: true }), onResponse({ log: true })),
  route("body", onRequest({ edit: "append", text: "!" }), onResponse({ edit: "append", text: "?" })),
  route("header", tag("1"), onRequest({ see: "x-saw" })),
  route("header-response", tagResponse("a"), onResponse({ see: "x-saw" })),
  route("deny", onRequest({ denyAt: 4 })),
  route("deny-response", onResponse({ denyAt: 4 })),
  route("headers-only", tag("1"), tagResponse("a")),
];

/** More than one frame and one read of a socket. */
const LARGE = "x".repeat(300_000);

interface Modes {
  readonly body: "STREAMED" | "BUFFERED_PARTIAL" | "NONE";
  readonly overridable: boolean;
  /** Default: as the body. */
  readonly headers?: "SKIP";
}

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes });
  for (const { route: name } of routes) stack.upstream.on(`/${name}/mirror`, { mirror: true });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

describe.each([
  { body: "BUFFERED_PARTIAL", overridable: true },
  { body: "BUFFERED_PARTIAL", overridable: false },
  { body: "NONE", overridable: true },
] satisfies Modes[])("base %j: everything is enforced", (modes) => {
  let envoy: RunningEnvoy;

  beforeAll(async () => {
    envoy = await start(modes);
  });

  afterAll(() => envoy?.stop());

  test.each(["body", LARGE])("edge: bodies and headers change, both ways", async (body) => {
    for (const chunked of [undefined, 1000]) {
      const framing = chunked === undefined ? {} : { chunked };
      const post = (path: string) => request(envoy.port, { method: "POST", path, body, ...framing });
      expect((await post("/body/mirror")).text()).toBe(`${body}!?`);
      expect((await post("/header")).echo().header("x-saw")).toBe(fingerprint(body));
      expect((await post("/header-response/mirror")).header("x-saw")).toBe(fingerprint(body));
    }
  });

  test("edge: a body that comes when the headers are answered may still change them, or be denied", async () => {
    stack.upstream.forget();
    expect((await postLate(envoy, "/header")).echo().header("x-saw")).toBe(fingerprint("body"));
    expect((await postLate(envoy, "/deny")).text()).toBe("denied at 4");
    expect(stack.upstream.requests).toHaveLength(1);
  });

  test("edge: responses are denied by their body", async () => {
    const denied = await request(envoy.port, { method: "POST", path: "/deny-response/mirror", body: "body" });
    expect([denied.status, denied.text()]).toEqual([403, "denied at 4"]);
  });
});

describe.each([true, false])("base STREAMED (overridable: %p)", (overridable) => {
  let envoy: RunningEnvoy;

  beforeAll(async () => {
    envoy = await start({ body: "STREAMED", overridable });
  });

  afterAll(() => envoy?.stop());

  test("edge: a step that needs a body is refused before anything reaches the upstream", async () => {
    stack.upstream.forget();
    for (const path of ["/read/mirror", "/body/mirror", "/header", "/deny"]) {
      for (const response of [
        await request(envoy.port, { method: "POST", path, body: "body" }),
        await requestHttp2(envoy.port, { method: "POST", path, body: "body" }),
      ]) {
        expect([response.status, response.text().split(" ")[0]]).toEqual([500, "unsupported_body_mode"]);
      }
    }
    expect(stack.upstream.requests).toEqual([]);
  });

  test("edge: so is one that needs the response's body; without a body, and for headers, all is well", async () => {
    const response = await request(envoy.port, {
      method: "POST",
      path: "/deny-response/mirror",
      body: "body",
    });
    expect([response.status, response.text().split(" ")[0]]).toEqual([500, "unsupported_body_mode"]);
    const bare = await request(envoy.port, { path: "/header" });
    expect(bare.echo().header("x-saw")).toBe(fingerprint(""));
    const headers = await request(envoy.port, { method: "POST", path: "/headers-only", body: LARGE });
    expect([headers.echo().request.body, headers.header("x-trace")]).toEqual([LARGE, "a"]);
  });
});

describe("base NONE that nothing may override: bodies are not enforced, and only this base lets that happen", () => {
  test("edge: with response headers the exchange is refused, when the upstream has the request", async () => {
    const envoy = await start({ body: "NONE", overridable: false });
    try {
      stack.upstream.forget();
      const refused = await request(envoy.port, { method: "POST", path: "/deny", body: "body" });
      expect([refused.status, refused.text().split(" ")[0]]).toEqual([500, "out_of_order"]);
      expect(stack.upstream.requests).toHaveLength(1);
    } finally {
      await envoy.stop();
    }
  });

  test("edge: without them Envoy goes away in the middle: the exchange counts as cancelled", async () => {
    const envoy = await start({ body: "NONE", overridable: false, headers: "SKIP" });
    try {
      const cancelled = () =>
        stack.engine.metric("policy_kernel_requests_total", { route: "deny", status: "cancelled" });
      const before = await cancelled();
      const passed = await request(envoy.port, { method: "POST", path: "/deny", body: "body" });
      expect(passed.status).toBe(200);
      await waitFor("cancelled exchange", async () => (await cancelled()) > before);
    } finally {
      await envoy.stop();
    }
  });
});

function start({ body, overridable, headers }: Modes): Promise<RunningEnvoy> {
  return startEnvoyFor(stack, {
    routes,
    envoy({ extProc }: EnvoyParts) {
      extProc.processing_mode.request_body_mode = body;
      extProc.processing_mode.response_body_mode = body;
      if (headers !== undefined) extProc.processing_mode.response_header_mode = headers;
      extProc.allow_mode_override = overridable;
    },
  });
}

/** Sends the body when the engine has answered the headers. */
async function postLate(envoy: RunningEnvoy, path: string): Promise<ClientResponse> {
  const connection = await HttpConnection.open(envoy.port);
  try {
    const before = await answers(envoy);
    connection.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n`);
    await waitFor("answer to the headers", async () => (await answers(envoy)) > before);
    connection.write("body");
    return await connection.read();
  } finally {
    connection.close();
  }
}

/** How many messages the engine has sent to Envoy. */
async function answers(envoy: RunningEnvoy): Promise<number> {
  const stats = await envoy.stats("stream_msgs_received");
  return [...stats.values()].reduce((sum, value) => sum + value, 0);
}
