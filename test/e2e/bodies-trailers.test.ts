// Messages without DATA and bodies that end in trailers, both ways: no step is passed by.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { onRequest, onResponse, route, tag, tagResponse } from "../helpers/body-routes.ts";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientRequest, HttpConnection, request, requestHttp2 } from "../helpers/http.ts";
import { headersAndTrailers } from "../helpers/http2-frames.ts";
import { type Base, type EnvoyParts, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { fingerprint } from "../helpers/upstream-reply.ts";

const TRAILERS = [["x-after", "t"]] as const;

const routes = [
  route("read", tag("1"), onRequest({ log: true }), tagResponse("a"), onResponse({ log: true })),
  route("deny-empty", onRequest({ denyAt: 0 })),
  route("deny-empty-response", onResponse({ denyAt: 0 })),
  route("change", onRequest({ see: "x-saw" })),
  route("change-response", onResponse({ see: "x-saw" })),
  route(
    "append",
    onRequest({ see: "x-saw", edit: "append", text: "!" }),
    onResponse({ see: "x-saw", edit: "append", text: "?" }),
  ),
  route("header-after", onRequest({}), tag("after")),
  route("plain", tag("1")),
];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes, envoy: passTrailers });
  for (const { route: name } of routes) {
    stack.upstream
      .on(`/${name}/bare`, { body: "", trailers: TRAILERS })
      .on(`/${name}/trailed`, { mirror: true, trailers: TRAILERS });
  }
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

for (const base of ["wide", "narrow", "forbidden"] satisfies Base[]) {
  describe(`${base} base`, () => {
    let envoy: RunningEnvoy;
    let connection: HttpConnection;

    beforeAll(async () => {
      envoy = await startEnvoyFor(stack, { routes, base, envoy: passTrailers });
      connection = await HttpConnection.open(envoy.port);
    });

    afterAll(async () => {
      connection?.close();
      await envoy?.stop();
    });

    const bare = (path: string, more: ClientRequest = {}): ClientRequest => {
      return { method: "POST", path, headers: [["te", "trailers"]], body: "", trailers: TRAILERS, ...more };
    };
    const plain = async () => (await connection.send({ path: "/plain" })).echo().path;

    test("edge: a request of headers and trailers runs every step, over HTTP/1.1 and HTTP/2", async () => {
      stack.upstream.forget();
      expect((await connection.send(bare("/deny-empty"))).text()).toBe("denied at 0");
      expect(await headersAndTrailers(envoy.port, "/deny-empty")).toContain("denied at 0");
      const empty = await requestHttp2(envoy.port, {
        method: "POST",
        path: "/deny-empty",
        trailers: TRAILERS,
      });
      expect(empty.text()).toBe("denied at 0");
      expect(stack.upstream.requests).toEqual([]);
    });

    test("edge: where nothing is changed after it, it passes with its trailers", async () => {
      stack.upstream.forget();
      const since = stack.engine.logs().length;
      const response = await connection.send(bare("/read/trailed"));
      expect([response.status, response.headerValues("x-trace")]).toEqual([200, ["a"]]);
      await stack.engine.waitForLog("read a body", since);
      const [seen] = stack.upstream.requests;
      expect([seen?.body, seen?.trailers]).toEqual(["", TRAILERS as never]);
    });

    test("edge: a change that comes too late is refused with 400, and nothing reaches the upstream", async () => {
      stack.upstream.forget();
      for (const path of ["/change", "/append", "/header-after"]) {
        // Envoy itself closes a connection on which it answered 400, and says so.
        const response = await request(envoy.port, bare(path));
        expect([response.status, response.text().split(" ")[0]]).toEqual([400, "change_too_late"]);
        expect(response.header("connection")).toBe("close");
        expect(await headersAndTrailers(envoy.port, path)).toContain("change_too_late");
      }
      expect(stack.upstream.requests).toEqual([]);
      expect(await plain()).toBe("/plain");
    });

    test("edge: a response of headers and trailers runs every step; a change is refused with 502", async () => {
      const get = (path: string) => connection.send({ path, headers: [["te", "trailers"]] });
      const denied = await get("/deny-empty-response/bare");
      expect([denied.status, denied.text()]).toEqual([403, "denied at 0"]);
      const late = await get("/change-response/bare");
      expect([late.status, late.text().split(" ")[0]]).toEqual([502, "change_too_late"]);
      const read = await get("/read/bare");
      expect([read.status, read.text(), read.trailers]).toEqual([200, "", TRAILERS as never]);
      expect(await plain()).toBe("/plain");
    });

    test("edge: a body that ends in trailers is read and changed whole, both ways", async () => {
      stack.upstream.forget();
      for (const chunked of [1, 4]) {
        const response = await connection.send(bare("/append/trailed", { body: "body", chunked }));
        expect([response.status, response.text(), response.trailers]).toEqual([
          200,
          "body!?",
          TRAILERS as never,
        ]);
        expect(response.header("x-saw")).toBe(fingerprint("body!"));
        const seen = stack.upstream.requests.at(-1);
        expect([seen?.body, seen?.trailers]).toEqual(["body!", TRAILERS as never]);
      }
      const http2 = await requestHttp2(envoy.port, {
        method: "POST",
        path: "/append/trailed",
        headers: [["te", "trailers"]],
        body: "body",
        trailers: TRAILERS,
      });
      expect([http2.status, http2.text(), http2.trailers]).toEqual([200, "body!?", TRAILERS as never]);
      expect(await plain()).toBe("/plain");
    });

    test("edge: nothing of this was spurious to Envoy", async () => {
      const stats = [...(await envoy.stats("ext_proc"))].map(([name]) => name.split(".").at(-1));
      expect(stats).not.toContain("spurious_msgs_received");
      expect(stats).not.toContain("rejected_header_mutations");
      expect(stats).not.toContain("message_timeouts");
    });
  });
}

/** HTTP/1.1 trailers, which Envoy drops unless told otherwise. */
function passTrailers({ bootstrap, connectionManager }: EnvoyParts): void {
  connectionManager.http_protocol_options = { enable_trailers: true };
  const upstream = bootstrap.static_resources.clusters.find(
    ({ name }: { name: string }) => name === "upstream",
  );
  upstream.typed_extension_protocol_options = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http_protocol_options: { enable_trailers: true } },
    },
  };
}
