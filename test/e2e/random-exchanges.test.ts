// Random chains and exchanges through the real Envoy, compared with the model of body-exchanges.ts.
// BODY_EXCHANGES sets how many (default 2,500); MODEL_SEED repeats a run.
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  policiesOf,
  type RandomChain,
  type RandomExchange,
  randomChain,
  randomExchange,
} from "../helpers/body-exchanges.ts";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { type ClientRequest, type ClientResponse, HttpConnection, requestHttp2 } from "../helpers/http.ts";
import { headerOf, headersOf } from "../helpers/http1.ts";
import { type Prediction, predict, type SeenMessage } from "../helpers/predict-bodies.ts";
import { Random } from "../helpers/random.ts";
import { type Base, type EnvoyParts, type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import type { Reply, SeenRequest } from "../helpers/upstream-reply.ts";

const EXCHANGES = Number(process.env["BODY_EXCHANGES"] ?? 2500);
const SEED = Number(process.env["MODEL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUTES = 80;
const BASES: readonly Base[] = ["wide", "narrow", "forbidden"];
/** Client connections at once. */
const LANES = 6;
const TRAILERS = [["x-after", "t"]] as const;

const random = new Random(SEED);
const chains = Array.from({ length: ROUTES }, (_, index) => randomChain(random, `r${index}`));
const seenByUpstream = new Map<string, SeenRequest>();
const replies = new Map<string, Reply>();
/** How often each kind of end was predicted. */
const ends = new Map<string, number>();

let stack: Stack;
let envoys: readonly RunningEnvoy[];

beforeAll(async () => {
  const routes = chains.map((chain) => ({
    route: chain.route,
    policies: policiesOf(chain),
    responseOrder: chain.reversed ? "reversed" : "listed",
  }));
  stack = await startStack({ routes, config: { log: { level: "error", format: "json" } } });
  envoys = await Promise.all(
    BASES.map((base) => startEnvoyFor(stack, { routes, base, envoy: passTrailers })),
  );
  const answer = (request: SeenRequest): Reply => {
    const id = headerOf(request.headers, "x-id") ?? "";
    seenByUpstream.set(id, request);
    return replies.get(id) ?? { status: 599 };
  };
  for (const { route } of chains) {
    stack.upstream.on(`/${route}`, answer).on(`/${route}/moved`, answer);
    stack.upstream.on(`/${route}/early`, { early: true, body: "early" });
  }
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await Promise.all(envoys?.map((envoy) => envoy.stop()) ?? []);
  await stack?.stop();
});

test(`FR-004, FR-020, FR-023: ${EXCHANGES} random exchanges come out as the model says (MODEL_SEED=${SEED})`, async () => {
  let next = 0;
  const lane = async () => {
    const connections = new Map<number, HttpConnection>();
    while (next < EXCHANGES) {
      const id = `${next++}`;
      const exchange = randomExchange(random, {
        chain: random.pick(chains) as RandomChain,
        id,
        bases: BASES.length,
      });
      await check(exchange, await send(exchange, connections));
      stack.upstream.forget();
    }
    for (const connection of connections.values()) connection.close();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const envoy of envoys) {
    const stats = [...(await envoy.stats("ext_proc"))].map(([name]) => name.split(".").at(-1));
    for (const wrong of [
      "spurious_msgs_received",
      "rejected_header_mutations",
      "message_timeouts",
      "streams_failed",
    ]) {
      expect(stats).not.toContain(wrong);
    }
  }
}, 600_000);

test("the exchanges do not all end alike", () => {
  for (const end of ["passed", "400", "403", "502"]) {
    expect([end, (ends.get(end) ?? 0) > 0]).toEqual([end, true]);
  }
});

/** On a connection that is kept alive: what an exchange left behind would be read as the answer to the next. */
async function send(
  exchange: RandomExchange,
  connections: Map<number, HttpConnection>,
): Promise<ClientResponse> {
  const { base, http2, early, method } = exchange;
  replies.set(exchange.id, replyOf(exchange));
  const envoy = envoys[base]!;
  const options = requestOf(exchange);
  try {
    if (http2) return await requestHttp2(envoy.port, options);
    const connection = connections.get(base) ?? (await HttpConnection.open(envoy.port));
    connections.set(base, connection);
    const response = await connection.send(options);
    if (early || response.header("connection") === "close") {
      connection.close();
      connections.delete(base);
    }
    return response;
  } catch (cause) {
    throw new Error(`Cannot send: ${describe(exchange)} ${method}`, { cause });
  } finally {
    replies.delete(exchange.id);
  }
}

function requestOf({ id, method, path, denied, faulty, request, http2 }: RandomExchange): ClientRequest {
  const { framing, wire, coding } = request;
  const headers: [string, string][] = [
    ["x-id", id],
    ["te", "trailers"],
    ...(denied ? [["x-deny", "1"] as [string, string]] : []),
    ...(faulty ? [["x-throw", "1"] as [string, string]] : []),
    ...(coding === undefined ? [] : [["content-encoding", coding] as [string, string]]),
    ...(http2 && framing === "sized" ? [["content-length", String(wire.length)] as [string, string]] : []),
  ];
  const body = framing === "none" ? {} : { body: wire };
  const chunked = framing === "chunked" || framing === "trailed" ? { chunked: 1 + (wire.length >> 1) } : {};
  return { method, path, headers, ...body, ...chunked, ...(framing === "trailed" && { trailers: TRAILERS }) };
}

function replyOf({ response }: RandomExchange): Reply {
  const { framing, wire, coding, status } = response;
  return {
    status,
    headers: coding === undefined ? [] : [["content-encoding", coding]],
    body: wire,
    ...((framing === "chunked" || framing === "trailed") && { chunked: 1 + (wire.length >> 1) }),
    ...(framing === "trailed" && { trailers: TRAILERS }),
  };
}

async function check(exchange: RandomExchange, response: ClientResponse): Promise<void> {
  const expected = predict(exchange);
  const label = describe(exchange, expected);
  const { method, early } = exchange;
  const end = typeof expected.response === "string" ? `${expected.status}` : "passed";
  ends.set(end, (ends.get(end) ?? 0) + 1);
  expect([response.status, response.header("x-denied")], label).toEqual([expected.status, expected.denied]);
  if (typeof expected.response === "string") {
    expect(response.text().slice(0, expected.response.length), label).toBe(expected.response);
    if (method === "HEAD") expect(response.body.length, label).toBe(0);
  } else {
    compare(response, { expected: expected.response, label });
  }
  if (early) return;
  const upstream = seenByUpstream.get(exchange.id);
  seenByUpstream.delete(exchange.id);
  expect([upstream?.method, upstream?.path], label).toEqual([
    expected.upstream?.method,
    expected.upstream?.path,
  ]);
  if (upstream === undefined || expected.upstream === undefined) return;
  const seen = { ...upstream, body: Buffer.from(upstream.body, "latin1") };
  compare(seen, { expected: expected.upstream, label });
}

function compare(
  { headers, body, trailers }: Pick<ClientResponse, "headers" | "body" | "trailers">,
  { expected, label }: { expected: SeenMessage; label: string },
): void {
  // Joined, as the HTTP/2 library gives them.
  expect(headersOf(headers, "x-trace").join(", "), label).toBe(expected.trace.join(", "));
  const saw = headers.filter(([name]) => name.toLowerCase().startsWith("x-see-"));
  expect(Object.fromEntries(saw), label).toEqual({ ...expected.saw });
  // Not by `toEqual`, which would print megabytes.
  const same = body.equals(expected.body);
  expect(same, same ? label : `${label}\nbody ${preview(body)}, expected ${preview(expected.body)}`).toBe(
    true,
  );
  if (expected.trailers !== undefined)
    expect(trailers, label).toEqual(expected.trailers ? [...TRAILERS] : []);
  if (body.length > 0) expect(headerOf(headers, "content-encoding"), label).toBe(expected.coding);
}

function preview(bytes: Uint8Array): string {
  return `${bytes.length}: ${Buffer.from(bytes.subarray(0, 40)).toString("latin1")}`;
}

function describe(exchange: RandomExchange, expected?: Prediction): string {
  const brief = (_key: string, value: unknown) =>
    value instanceof Uint8Array || (typeof value === "object" && value !== null && "data" in value)
      ? undefined
      : value;
  const { request, response } = exchange;
  const sizes = `request ${request.plain.length}/${request.wire.length}, response ${response.plain.length}/${response.wire.length}`;
  return `${BASES[exchange.base]} ${sizes} ${JSON.stringify({ exchange, expected }, brief)}`;
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
