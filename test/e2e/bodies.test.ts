// Bodies in list order, through the real Envoy, over each base configuration that enforces them.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  messagesSent,
  onRequest,
  onResponse,
  route,
  tag,
  tagResponse,
  transform,
} from "../helpers/body-routes.ts";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientRequest, type ClientResponse, HttpConnection, request } from "../helpers/http.ts";
import { type Base, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { fingerprint } from "../helpers/upstream-reply.ts";
import { waitFor } from "../helpers/wait.ts";

const BASES: readonly Base[] = ["wide", "narrow", "forbidden"];

const routes = [
  route(
    "listed",
    tag("1"),
    onRequest({ see: "x-first", edit: "append", text: "-one", changes: { setHeaders: { "x-a": "1" } } }),
    tag("2"),
    onRequest({
      see: "x-second",
      edit: "upper",
      later: true,
      changes: { path: "/listed/moved", method: "PUT" },
    }),
    tag("3"),
  ),
  route(
    "response",
    tagResponse("a"),
    onResponse({ see: "x-first", edit: "append", text: "-one", later: true }),
    tagResponse("b"),
    onResponse({ see: "x-second", edit: "upper", changes: { status: 201 } }),
    tagResponse("c"),
  ),
  {
    ...route(
      "reversed",
      transform({ request: { edit: "append", text: "1" }, response: { edit: "append", text: "1" } }),
      tagResponse("between"),
      transform({ request: { edit: "append", text: "2" }, response: { edit: "append", text: "2" } }),
    ),
    responseOrder: "reversed",
  },
  route("deny-before", { name: "deny", parameters: { body: "before" } }, onRequest({ log: true })),
  route("deny-at", onRequest({ denyAt: 4 }), tag("after"), onResponse({ denyAt: 6 })),
  route("deny-after", onRequest({}), { name: "deny", parameters: { body: "after" } }),
  route("headers-only", tag("1"), tagResponse("a")),
  route("request-body", onRequest({ see: "x-saw" }), tagResponse("a")),
  route("response-body", tag("1"), onResponse({ see: "x-saw" })),
  route("emptied", transform({ request: { edit: "empty" }, response: { edit: "empty" } })),
  route(
    "added",
    transform({ request: { edit: "set", text: "new" }, response: { edit: "set", text: "new" } }),
  ),
  route("untouched", transform({ request: { see: "x-saw" }, response: { see: "x-saw" } })),
  route("rerouted", onRequest({ see: "x-saw" }), {
    name: "mutate",
    parameters: { request: { path: "/untouched/moved", reroute: true } },
  }),
  route("raw", { name: "transform-raw", parameters: { append: "00ff0a" } }),
];

/** Every byte, NUL among them. */
const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, index) => index);

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes });
  for (const { route: name } of routes) {
    stack.upstream
      .on(`/${name}/mirror`, { mirror: true })
      .on(`/${name}/chunked`, { mirror: true, chunked: 3 })
      .on(`/${name}/empty`, { body: "" });
  }
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

for (const base of BASES) {
  describe(`${base} base`, () => {
    let envoy: RunningEnvoy;
    let connection: HttpConnection;

    beforeAll(async () => {
      envoy = await startEnvoyFor(stack, { routes, base });
      connection = await HttpConnection.open(envoy.port);
    });

    afterAll(async () => {
      connection?.close();
      await envoy?.stop();
    });

    /** All on one connection: what an exchange leaves behind would be read as the answer to the next. */
    const send = (options: ClientRequest): Promise<ClientResponse> => connection.send(options);
    const post = (path: string, body: string | Uint8Array, more: ClientRequest = {}) =>
      send({ method: "POST", path, body, ...more });

    test.each([undefined, 2])(
      "FR-004, FR-020: body steps and header steps run as listed (chunks: %p)",
      async (chunked) => {
        const echo = (await post("/listed", "body", chunked === undefined ? {} : { chunked })).echo();
        expect([echo.method, echo.path, echo.request.body]).toEqual(["PUT", "/listed/moved", "BODY-ONE"]);
        expect(echo.headerValues("x-trace")).toEqual(["1", "2", "3"]);
        expect([echo.header("x-first"), echo.header("x-second")]).toEqual([
          fingerprint("body"),
          fingerprint("body-one"),
        ]);
        expect(echo.header("x-a")).toBe("1");
        expect(echo.header("content-length")).toBe(chunked === undefined ? "8" : undefined);
      },
    );

    test("FR-004, FR-020: without a body the same steps run, and the body they give is sent", async () => {
      const echo = (await send({ path: "/listed" })).echo();
      expect([echo.method, echo.path, echo.request.body]).toEqual(["PUT", "/listed/moved", "-ONE"]);
      expect(echo.headerValues("x-trace")).toEqual(["1", "2", "3"]);
    });

    test.each(["mirror", "chunked", "empty"])("FR-002, FR-023: so in the response (%s)", async (kind) => {
      const response = await post(`/response/${kind}`, "body");
      const body = kind === "empty" ? "" : "body";
      expect([response.status, response.text()]).toEqual([201, `${body}-one`.toUpperCase()]);
      expect(response.headerValues("x-trace")).toEqual(["a", "b", "c"]);
      expect([response.header("x-first"), response.header("x-second")]).toEqual([
        fingerprint(body),
        fingerprint(`${body}-one`),
      ]);
      expect(response.header("content-length")).toBe(kind === "mirror" ? "8" : undefined);
    });

    test("FR-004: responseOrder reversed, with bodies both ways", async () => {
      const response = await post("/reversed/mirror", "x");
      expect([response.text(), response.headerValues("x-trace")]).toEqual(["x1221", ["between"]]);
    });

    test("FR-003: respond before, at and after the body; nothing reaches the upstream", async () => {
      stack.upstream.forget();
      expect((await post("/deny-before", "body")).text()).toBe("before");
      expect((await post("/deny-at", "body")).text()).toBe("denied at 4");
      expect((await post("/deny-after", "body")).text()).toBe("after");
      expect(stack.upstream.requests).toEqual([]);
    });

    test("FR-003: respond at the body of the response takes its place", async () => {
      const response = await post("/deny-at/mirror", "123456");
      expect([response.status, response.text()]).toEqual([403, "denied at 6"]);
      expect((await post("/deny-at/mirror", "12345")).text()).toBe("12345");
    });

    test("edge: a body is emptied, or added where there was none, both ways", async () => {
      stack.upstream.forget();
      const emptied = await post("/emptied/mirror", "body");
      expect([emptied.status, emptied.text(), emptied.header("content-length")]).toEqual([200, "", "0"]);
      const chunked = await post("/emptied/chunked", "body", { chunked: 1 });
      expect([chunked.status, chunked.text()]).toEqual([200, ""]);
      expect(stack.upstream.requests.map(({ body }) => body)).toEqual(["", ""]);
      const added = await send({ method: "POST", path: "/added/empty", headers: [["content-length", "0"]] });
      expect([added.status, added.text()]).toEqual([200, "new"]);
      expect(stack.upstream.requests.at(-1)?.body).toBe("new");
      expect((await send({ path: "/added" })).text()).toBe("new");
      expect(stack.upstream.requests.at(-1)?.body).toBe("new");
    });

    test("edge: every byte passes as it is, read or changed", async () => {
      const response = await post("/untouched/mirror", ALL_BYTES);
      expect([...response.body]).toEqual([...ALL_BYTES]);
      expect(response.header("x-saw")).toBe(fingerprint(ALL_BYTES));
      expect(response.header("content-length")).toBe("256");
      const raw = await post("/raw/mirror", ALL_BYTES);
      expect([...raw.body]).toEqual([...ALL_BYTES, 0, 255, 10, 0, 255, 10]);
      expect([raw.header("x-raw"), raw.header("content-length")]).toEqual(["259", "262"]);
    });

    test("edge: HEAD, 204 and 304 get no body; the next request on the connection gets its own answer", async () => {
      stack.upstream
        .on("/added/204", { status: 204 })
        .on("/added/304", { status: 304, headers: [["content-length", "20"]] });
      const head = await send({ method: "HEAD", path: "/added" });
      expect([head.status, Number(head.header("content-length")) > 0]).toEqual([200, true]);
      for (const status of [204, 304]) {
        expect((await send({ path: `/added/${status}` })).status).toBe(status);
        expect((await send({ path: "/untouched/empty" })).header("x-saw")).toBe(fingerprint(""));
      }
    });

    test("FR-021: a path that is set behind a body chooses the route anew; the chain stays", async () => {
      const response = await post("/rerouted?q=1", "body");
      expect(response.header("x-envoy-route")).toBe("untouched");
      expect([response.echo().path, response.echo().header("x-saw")]).toEqual([
        "/untouched/moved?q=1",
        fingerprint("body"),
      ]);
      expect(response.header("x-saw")).toBeUndefined();
    });

    test("edge: nothing of this made the engine's side of the protocol fail", async () => {
      const stats = await envoy.stats("ext_proc");
      const count = (name: string) =>
        [...stats].filter(([key]) => key.endsWith(name)).reduce((sum, [, value]) => sum + value, 0);
      expect(
        ["streams_failed", "spurious_msgs_received", "message_timeouts", "rejected_header_mutations"].map(
          count,
        ),
      ).toEqual([0, 0, 0, 0]);
    });
  });
}

for (const base of ["wide", "narrow"] satisfies Base[]) {
  describe(`${base} base: what Envoy is asked for`, () => {
    let envoy: RunningEnvoy;

    beforeAll(async () => {
      envoy = await startEnvoyFor(stack, { routes, base });
    });

    afterAll(() => envoy?.stop());

    /** How many messages Envoy sends for an exchange with bodies both ways. */
    async function messages(path: string): Promise<number> {
      const before = await messagesSent(envoy);
      expect((await request(envoy.port, { method: "POST", path, body: "body" })).status).toBeLessThan(500);
      return (await messagesSent(envoy)) - before;
    }

    test("US6.1, FR-025, FR-026, FR-027: a chain that reads no body is sent none", async () => {
      expect(await messages("/headers-only")).toBe(2);
    });

    test("US6.2, FR-025, FR-028: the request's body alone", async () => {
      expect(await messages("/request-body")).toBe(3);
    });

    test("US6.3, FR-026, FR-028: the response's body alone", async () => {
      expect(await messages("/response-body")).toBe(3);
    });

    test("FR-025: a step behind a denial never makes Envoy buffer", async () => {
      expect(await messages("/deny-before")).toBe(1);
    });
  });
}

test("edge: an exchange that waits for its body through a reload runs the chain it began with", async () => {
  const others = routes.filter((one) => one.route !== "request-body");
  const connection = await HttpConnection.open(stack.envoy.port);
  const head = "POST /request-body HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
  try {
    const before = await stack.engine.metric("policy_kernel_streams_active");
    connection.write(head);
    await waitFor("waiting exchange", async () => {
      return (await stack.engine.metric("policy_kernel_streams_active")) > before;
    });
    const since = stack.engine.logs().length;
    await stack.engine.writeRoutes([...others, route("request-body", tag("new"))]);
    await stack.engine.waitForLog("Applied configuration", since);
    connection.write("body");
    const old = await connection.read();
    expect([old.echo().header("x-saw"), old.header("x-trace")]).toEqual([fingerprint("body"), "a"]);
    const next = await connection.send({ method: "POST", path: "/request-body", body: "body" });
    expect([next.echo().header("x-saw"), next.echo().header("x-trace")]).toEqual([undefined, "new"]);
  } finally {
    connection.close();
  }
});

test("US6.4, FR-029: a policy that needs the body is added: the next requests are buffered, and the next are not", async () => {
  const name = "headers-only";
  const others = routes.filter((one) => one.route !== name);
  const seen = () => stack.request({ method: "POST", path: "/headers-only", body: "body" });
  expect((await seen()).echo().header("x-saw")).toBeUndefined();
  for (const withBody of [true, false]) {
    const policies = withBody ? [tag("1"), onRequest({ see: "x-saw" })] : [tag("2")];
    const since = stack.engine.logs().length;
    await stack.engine.writeRoutes([...others, route(name, ...policies)]);
    await stack.engine.waitForLog("Applied configuration", since);
    const before = await messagesSent(stack.envoy);
    const response = await seen();
    expect(response.echo().header("x-saw")).toBe(withBody ? fingerprint("body") : undefined);
    expect((await messagesSent(stack.envoy)) - before).toBe(withBody ? 2 : 1);
  }
});
