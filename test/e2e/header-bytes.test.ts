import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { HeaderLines } from "../helpers/http1.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

/** Latin-1, a lone continuation byte, an overlong form and 0xff: none of it is UTF-8. */
const BYTES = "caf\xe9 \x80 \xc0\xaf \xff";
/** More than Envoy takes by default, so the test raises its limit. */
const MANY = 300;
const MAX_HEADERS = 1000;

const bystander = {
  name: "mutate",
  parameters: {
    request: { setHeaders: { "x-by": "1" } },
    response: { setHeaders: { "x-by": "1" } },
  },
};

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      { route: "bytes", policies: [bystander] },
      {
        route: "appended",
        policies: [
          {
            name: "mutate",
            parameters: {
              request: { appendHeaders: { "x-bytes": "added" } },
              response: { appendHeaders: { "x-bytes": "added", "set-cookie": "c=3" } },
            },
          },
        ],
      },
      {
        route: "unicode",
        policies: [{ name: "mutate", parameters: { request: { setHeaders: { "x-text": "žluť" } } } }],
      },
    ],
    envoy({ bootstrap, connectionManager }) {
      connectionManager.common_http_protocol_options = { max_headers_count: MAX_HEADERS };
      const [, upstream] = bootstrap.static_resources.clusters;
      upstream.typed_extension_protocol_options = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
          common_http_protocol_options: { max_headers_count: MAX_HEADERS },
          explicit_http_config: { http_protocol_options: {} },
        },
      };
    },
  });
  stack.upstream
    .on("/bytes/response", { headers: [["x-bytes", BYTES]] })
    .on("/appended", (request) => ({
      headers: [
        ["x-bytes", BYTES],
        ["set-cookie", "a=1; Path=/"],
        ["set-cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"],
      ],
      body: JSON.stringify(request),
    }))
    .on("/bytes/many", { headers: numbered("x-up") });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

function numbered(prefix: string): HeaderLines {
  return Array.from({ length: MANY }, (_, index) => [`${prefix}-${index}`, `value ${index}`] as const);
}

test("edge: request header bytes that are not UTF-8 reach the upstream as they came", async () => {
  const echo = (await stack.get("/bytes", [["x-bytes", BYTES]])).echo();
  expect([echo.header("x-bytes"), echo.header("x-by")]).toEqual([BYTES, "1"]);
});

test("edge: response header bytes that are not UTF-8 reach the client as they came", async () => {
  const response = await stack.get("/bytes/response");
  expect([response.header("x-bytes"), response.header("x-by")]).toEqual([BYTES, "1"]);
});

test("edge: a line appended beside such a header leaves its bytes alone, both ways", async () => {
  const response = await stack.get("/appended", [["x-bytes", BYTES]]);
  expect(response.echo().headerValues("x-bytes")).toEqual([BYTES, "added"]);
  expect(response.headerValues("x-bytes")).toEqual([BYTES, "added"]);
});

test("FR-022: Set-Cookie lines stay lines, and one more can be appended", async () => {
  const response = await stack.get("/appended");
  expect(response.headerValues("set-cookie")).toEqual([
    "a=1; Path=/",
    "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
    "c=3",
  ]);
});

test("FR-019: text beyond ASCII is sent as UTF-8", async () => {
  const value = (await stack.get("/unicode")).echo().header("x-text") ?? "";
  expect(Buffer.from(value, "latin1").toString()).toBe("žluť");
});

test(`edge: ${MANY} headers pass in both directions, each with its value`, async () => {
  const response = await stack.get("/bytes/many", numbered("x-down"));
  const last = stack.upstream.requests.at(-1)?.headers ?? [];
  expect(last.filter(([name]) => name.startsWith("x-down-"))).toEqual([...numbered("x-down")]);
  expect(response.headers.filter(([name]) => name.startsWith("x-up-"))).toEqual([...numbered("x-up")]);
  expect(response.header("x-by")).toBe("1");
});
