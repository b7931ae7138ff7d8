import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { HttpConnection, requestHttp2 } from "../helpers/http.ts";
import { type Base, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";

const both = {
  name: "mutate",
  parameters: {
    request: { setHeaders: { "x-request": "1" } },
    response: { setHeaders: { "x-response": "1" } },
  },
};

const routes = [{ route: "odd", policies: [both] }];
const bases: Base[] = ["wide", "narrow", "forbidden"];

for (const base of bases) {
  describe(`${base} base`, () => {
    let stack: Stack;

    beforeAll(async () => {
      stack = await startStack({
        base,
        routes,
        envoy({ connectionManager }) {
          connectionManager.proxy_100_continue = true;
        },
      });
      stack.upstream
        .on("/odd/204", { status: 204 })
        .on("/odd/304", { status: 304, headers: [["etag", '"1"']] })
        .on("/odd/hints", { body: "late", informational: [{ status: 103, headers: [["link", "</s>"]] }] })
        .on("/odd/trailers", { body: "with trailers", trailers: [["x-after", "t"]] })
        .on("/odd/socket", { upgrade: true })
        .on("/odd/gone", { hangUp: true });
    }, BUILD_TIMEOUT_MS);

    afterAll(() => stack?.stop());

    test("edge: HEAD, 204, 304 and GET follow each other on one connection", async () => {
      const connection = await HttpConnection.open(stack.envoy.port);
      const head = await connection.send({ method: "HEAD", path: "/odd" });
      expect([head.status, head.header("x-response"), head.text()]).toEqual([200, "1", ""]);
      expect(Number(head.header("content-length"))).toBeGreaterThan(0);
      const none = await connection.send({ path: "/odd/204" });
      expect([none.status, none.header("x-response")]).toEqual([204, "1"]);
      const same = await connection.send({ path: "/odd/304" });
      expect([same.status, same.header("etag"), same.header("x-response")]).toEqual([304, '"1"', "1"]);
      const plain = await connection.send({ path: "/odd" });
      expect([plain.status, plain.echo().header("x-request")]).toEqual([200, "1"]);
      connection.close();
    });

    test("edge: an interim response passes and the final one is processed", async () => {
      const response = await stack.get("/odd/hints");
      expect([response.status, response.text(), response.header("x-response")]).toEqual([200, "late", "1"]);
    });

    test("edge: a request with Expect: 100-continue passes", async () => {
      const connection = await HttpConnection.open(stack.envoy.port);
      connection.write(
        "POST /odd HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody",
      );
      const response = await connection.read();
      expect([response.status, response.echo().request.body]).toEqual([200, "body"]);
      connection.close();
    });

    test("edge: an upgrade passes and bytes flow both ways", async () => {
      const envoy = base === "forbidden" ? await withoutBodies(stack) : stack.envoy;
      const connection = await HttpConnection.open(envoy.port);
      const response = await connection.send({
        path: "/odd/socket",
        headers: [
          ["connection", "upgrade"],
          ["upgrade", "websocket"],
        ],
      });
      expect([response.status, response.header("x-response")]).toEqual([101, "1"]);
      connection.write("ping");
      expect((await connection.readExactly(4)).toString()).toBe("ping");
      connection.close();
      if (envoy !== stack.envoy) await envoy.stop();
    });

    test("edge: bodies and trailers pass untouched, both ways", async () => {
      const body = "x".repeat(100_000);
      const response = await stack.request({ method: "POST", path: "/odd", body });
      expect([response.echo().request.body.length, response.echo().header("x-request")]).toEqual([
        body.length,
        "1",
      ]);
      const trailed = await stack.get("/odd/trailers", [["te", "trailers"]]);
      expect([trailed.text(), trailed.header("x-response")]).toEqual(["with trailers", "1"]);
    });

    test("edge: HTTP/2 with trailers and without a body", async () => {
      const response = await requestHttp2(stack.envoy.port, { path: "/odd", trailers: [["x-after", "t"]] });
      expect([response.status, response.echo().header("x-request"), response.header("x-response")]).toEqual([
        200,
        "1",
        "1",
      ]);
    });

    // Where nothing may be overridden, Envoy itself holds the request back until its body is whole.
    if (base !== "forbidden") {
      test("edge: directions interleave: the upstream answers before the request's body is there", async () => {
        stack.upstream.on("/odd/early", { early: true, body: "early" });
        stack.upstream.forget();
        const connection = await HttpConnection.open(stack.envoy.port);
        connection.write("POST /odd/early HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n");
        const response = await connection.read();
        expect([response.status, response.text(), response.header("x-response")]).toEqual([
          200,
          "early",
          "1",
        ]);
        connection.write("body");
        connection.close();
      });
    }

    test("edge: an upstream that hangs up is Envoy's own answer", async () => {
      expect((await stack.get("/odd/gone")).status).toBe(503);
    });

    test("edge: nothing of this made the engine's side of the protocol fail", async () => {
      const stats = await stack.envoy.stats("ext_proc");
      const count = (name: string) =>
        [...stats].filter(([key]) => key.endsWith(name)).reduce((sum, [, value]) => sum + value, 0);
      expect([count("streams_failed"), count("spurious_msgs_received"), count("message_timeouts")]).toEqual([
        0, 0, 0,
      ]);
      expect(count("rejected_header_mutations")).toBe(0);
      expect(count("streams_started")).toBeGreaterThan(5);
    });
  });
}

/**
 * Envoy itself holds an upgrade for ever where it must buffer bodies and no answer may say otherwise: who forbids
 * overrides and has upgrades must not ask for bodies.
 */
function withoutBodies(stack: Stack): Promise<RunningEnvoy> {
  return startEnvoyFor(stack, {
    routes,
    base: "forbidden",
    envoy({ extProc }) {
      extProc.processing_mode.request_body_mode = "NONE";
      extProc.processing_mode.response_body_mode = "NONE";
    },
  });
}
