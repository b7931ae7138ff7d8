// Bodies that cannot be waited for, and bodies that never come.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { onRequest, onResponse, route, tag, tagResponse } from "../helpers/body-routes.ts";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { PolicySpec } from "../helpers/engine.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { HttpConnection, request } from "../helpers/http.ts";
import { type Base, type EnvoyParts, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { fingerprint } from "../helpers/upstream-reply.ts";

const skip = (policy: PolicySpec): PolicySpec => ({ ...policy, onUnbufferable: "skip" });
const reads = onRequest({ see: "x-saw", edit: "append", text: "!" });
const readsResponse = onResponse({ see: "x-saw", edit: "append", text: "?" });

const routes = [
  route("deny", tag("1"), reads, tag("2")),
  route("skip", tag("1"), skip(reads), tag("2")),
  route("deny-response", readsResponse, tagResponse("a")),
  route("skip-response", skip(readsResponse), tagResponse("a")),
  route("connect-deny", reads),
  route("connect-skip", skip(reads)),
  route("plain"),
];

const UPGRADE = [
  ["connection", "upgrade"],
  ["upgrade", "websocket"],
] as const;
const GRPC = [
  ["content-type", "application/grpc"],
  ["te", "trailers"],
] as const;
/** A gRPC message: not compressed, five bytes, of which two are no text. */
const GRPC_MESSAGE = Uint8Array.from([0, 0, 0, 0, 5, 104, 0, 255, 10, 120]);
const EVENTS = [["content-type", "text/event-stream"]] as const;

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes, config: { limits: { bodyWait: "1s" } } });
  for (const { route: name } of routes) {
    stack.upstream
      .on(`/${name}/socket`, { upgrade: true })
      .on(`/${name}/grpc`, { mirror: true, trailers: [["grpc-status", "0"]] })
      .on(`/${name}/events`, { headers: EVENTS, body: "data: 1\n\n", unfinished: true })
      .on(`/${name}/stalls`, { body: "begun", unfinished: true })
      .on(`/${name}/early`, { early: true, body: "early" });
  }
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

for (const base of ["wide", "narrow"] satisfies Base[]) {
  describe(`${base} base`, () => {
    let envoy: RunningEnvoy;

    beforeAll(async () => {
      envoy = await startEnvoyFor(stack, { routes, base, envoy: tunnels });
    });

    afterAll(() => envoy?.stop());

    const open = () => HttpConnection.open(envoy.port);

    test("edge: a websocket upgrade is refused with 501, or the step is left out and bytes flow", async () => {
      stack.upstream.forget();
      const refused = await request(envoy.port, { path: "/deny/socket", headers: UPGRADE });
      expect([refused.status, refused.text().split(" ")[0]]).toEqual([501, "body_unbufferable"]);
      expect(stack.upstream.requests).toEqual([]);
      const connection = await open();
      const passed = await connection.send({ path: "/skip/socket", headers: UPGRADE });
      expect(passed.status).toBe(101);
      expect(await pingPong(connection)).toBe("ping");
      const [seen] = stack.upstream.requests;
      expect(seen?.headers.filter(([name]) => name === "x-trace").map(([, value]) => value)).toEqual([
        "1",
        "2",
      ]);
    });

    test("edge: so is CONNECT", async () => {
      const refused = await open();
      refused.write("CONNECT connect-deny:80 HTTP/1.1\r\nhost: connect-deny:80\r\n\r\n");
      expect((await refused.read()).status).toBe(501);
      refused.close();
      const tunnel = await open();
      tunnel.write("CONNECT connect-skip:80 HTTP/1.1\r\nhost: connect-skip:80\r\n\r\n");
      expect(await tunnel.readHead()).toBe(200);
      expect((await tunnel.send({ path: "/tunnelled" })).echo().path).toBe("/tunnelled");
      tunnel.close();
    });

    test("edge: a 101 is refused with 502, or the step is left out and bytes flow", async () => {
      const refused = await request(envoy.port, { path: "/deny-response/socket", headers: UPGRADE });
      expect([refused.status, refused.text().split(" ")[0]]).toEqual([502, "body_unbufferable"]);
      const connection = await open();
      const passed = await connection.send({ path: "/skip-response/socket", headers: UPGRADE });
      expect([passed.status, passed.header("x-trace"), passed.header("x-saw")]).toEqual([
        101,
        "a",
        undefined,
      ]);
      expect(await pingPong(connection)).toBe("ping");
    });

    test("edge: server-sent events are refused with 502, or pass one by one", async () => {
      const refused = await request(envoy.port, { path: "/deny-response/events" });
      expect([refused.status, refused.text().split(" ")[0]]).toEqual([502, "body_unbufferable"]);
      const connection = await open();
      connection.write("GET /skip-response/events HTTP/1.1\r\nhost: a\r\n\r\n");
      expect(await connection.readHead()).toBe(200);
      expect((await connection.readExactly(12)).toString()).toBe("9\r\ndata: 1\n\n");
      connection.close();
    });

    test("edge: gRPC is refused in its own way, or passes byte for byte", async () => {
      const post = (path: string) =>
        request(envoy.port, { method: "POST", path, headers: GRPC, body: GRPC_MESSAGE });
      stack.upstream.forget();
      const refused = await post("/deny/grpc");
      expect([refused.status, refused.text()]).toEqual([200, ""]);
      expect(Number(refused.header("grpc-status"))).toBeGreaterThan(0);
      expect(stack.upstream.requests).toEqual([]);
      const late = await post("/deny-response/grpc");
      expect([late.text(), Number(late.header("grpc-status")) > 0]).toEqual(["", true]);
      for (const path of ["/skip/grpc", "/skip-response/grpc", "/plain/grpc"]) {
        const passed = await post(path);
        expect([...passed.body]).toEqual([...GRPC_MESSAGE]);
      }
    });

    test("limits.bodyWait: a client that stalls is answered with 408, an upstream that stalls with 504", async () => {
      stack.upstream.forget();
      const connection = await open();
      connection.write("POST /deny HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nbeg");
      const late = await connection.read();
      expect([late.status, late.text().split(" ")[0]]).toEqual([408, "body_timeout"]);
      connection.close();
      expect(stack.upstream.requests).toEqual([]);
      const stalled = await request(envoy.port, { path: "/deny-response/stalls" });
      expect([stalled.status, stalled.text().split(" ")[0]]).toEqual([504, "body_timeout"]);
    });

    test("edge: Expect: 100-continue: the body is asked for and read", async () => {
      const connection = await open();
      connection.write("POST /deny HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
      expect(await connection.readHead()).toBe(100);
      connection.write("body");
      const echo = (await connection.read()).echo();
      expect([echo.request.body, echo.header("x-saw")]).toEqual(["body!", fingerprint("body")]);
      expect((await connection.send({ path: "/plain" })).echo().path).toBe("/plain");
      connection.close();
    });

    test("edge: a response that comes before the request's body has ended is read and changed", async () => {
      const connection = await open();
      connection.write("POST /deny-response/early HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n");
      const early = await connection.read();
      expect([early.status, early.text(), early.header("x-saw")]).toEqual([
        200,
        "early?",
        fingerprint("early"),
      ]);
      connection.close();
    });

    test("edge: the connection answers the next request by its own after each of these", async () => {
      const connection = await open();
      for (const path of ["/deny-response/events", "/deny-response/stalls", "/deny/socket"]) {
        const odd = await connection.send({ path, headers: path.endsWith("socket") ? UPGRADE : [] });
        expect(odd.status).toBeGreaterThan(500);
        if (odd.header("connection") === "close") break;
        expect((await connection.send({ path: "/plain?own" })).echo().path).toBe("/plain?own");
      }
      connection.close();
    });
  });
}

test("limits.bodyWait: where the upstream is to say whether to go on, nobody does, and the client gets 408", async () => {
  const envoy = await startEnvoyFor(stack, {
    routes,
    envoy({ connectionManager }) {
      connectionManager.proxy_100_continue = true;
    },
  });
  try {
    const connection = await HttpConnection.open(envoy.port);
    connection.write("POST /deny HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    expect((await connection.read()).status).toBe(408);
    connection.close();
  } finally {
    await envoy.stop();
  }
});

async function pingPong(connection: HttpConnection): Promise<string> {
  connection.write("ping");
  const answer = await connection.readExactly(4);
  connection.close();
  return answer.toString();
}

/** CONNECT to the hosts `connect-deny` and `connect-skip`. */
function tunnels({ connectionManager }: EnvoyParts): void {
  connectionManager.upgrade_configs.push({ upgrade_type: "CONNECT" });
  const { virtual_hosts } = connectionManager.route_config;
  for (const name of ["connect-deny", "connect-skip"]) {
    virtual_hosts.push({
      name,
      domains: [`${name}:80`],
      routes: [
        {
          name,
          match: { connect_matcher: {} },
          route: { cluster: "upstream", upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }] },
        },
      ],
    });
  }
}
