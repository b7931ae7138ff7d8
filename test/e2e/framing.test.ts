import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientRequest, HttpConnection, request } from "../helpers/http.ts";
import { type Base, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";

function mutate(route: string, parameters: object): RouteSpec {
  return { route, policies: [{ name: "mutate", parameters: { ...parameters } }] };
}

const routes = [
  mutate("to-204", { response: { status: 204 } }),
  mutate("to-304", { response: { status: 304 } }),
  mutate("to-200", { response: { status: 200 } }),
  mutate("to-get", { request: { method: "GET" } }),
  mutate("to-head", { request: { method: "HEAD" } }),
  mutate("plain", {}),
];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes });
  stack.upstream
    .on("/to-200/304", { status: 304, headers: [["content-length", "20"]] })
    .on("/to-200/socket", { upgrade: true });
  for (const path of ["/to-204", "/to-304"]) {
    stack.upstream
      .on(`${path}/sized`, { body: "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil" })
      .on(`${path}/chunked`, { body: "x".repeat(100_000), trailers: [["x-after", "t"]] });
  }
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

for (const base of ["wide", "narrow", "forbidden"] satisfies Base[]) {
  describe(`${base} base: what a policy changes leaves the client's connection in step`, () => {
    let envoy: RunningEnvoy;

    beforeAll(async () => {
      envoy = await startEnvoyFor(stack, { routes, base });
    });

    afterAll(() => envoy?.stop());

    for (const [status, size] of [
      [204, "sized"],
      [204, "chunked"],
      [304, "sized"],
      [304, "chunked"],
    ] as const) {
      test(`edge: status ${status} in place of a ${size} response drops its body`, async () => {
        const [response, next] = await inARow(envoy, { path: `/to-${status}/${size}` });
        expect([response?.status, response?.header("content-length")]).toEqual([status, undefined]);
        expect([next?.status, next?.echo().path]).toEqual([200, "/plain"]);
      });
    }

    test("edge: status 200 in place of a 304 announces no body", async () => {
      const [response, next] = await inARow(envoy, { path: "/to-200/304" });
      expect([response?.status, response?.text(), next?.status]).toEqual([200, "", 200]);
    });

    // Where nothing may be overridden, Envoy waits for the body of a 101 that never ends.
    if (base !== "forbidden") {
      test("edge: an upgrade keeps its status: no tunnel follows another one", async () => {
        const headers: [string, string][] = [
          ["connection", "upgrade"],
          ["upgrade", "websocket"],
        ];
        const refused = await request(envoy.port, { path: "/to-200/socket", headers });
        expect([refused.status, refused.text().split(" ")[0]]).toEqual([500, "policy_failed"]);
      });
    }

    test("edge: HEAD keeps its method and nothing becomes HEAD", async () => {
      stack.upstream.forget();
      const [head, afterHead] = await inARow(envoy, { path: "/to-get", method: "HEAD" });
      expect([head?.status, afterHead?.status]).toEqual([500, 200]);
      const [get, afterGet] = await inARow(envoy, { path: "/to-head" });
      expect([get?.status, afterGet?.status]).toEqual([500, 200]);
      expect(stack.upstream.requests.map(({ path }) => path)).toEqual(["/plain", "/plain"]);
    });
  });
}

/** The responses to a request and to a plain one behind it on the same connection. */
async function inARow(envoy: RunningEnvoy, first: ClientRequest) {
  const connection = await HttpConnection.open(envoy.port);
  try {
    return [await connection.send(first), await connection.send({ path: "/plain" })];
  } finally {
    connection.close();
  }
}
