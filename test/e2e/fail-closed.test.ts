import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RunningEnvoy } from "../helpers/envoy.ts";
import { HttpConnection, request } from "../helpers/http.ts";
import { type Stack, startEnvoyFor, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const HANGING = 50;

const routes = [
  { route: "hang", policies: [{ name: "faulty", parameters: { how: "hang-request" } }] },
  { route: "listen", policies: [{ name: "faulty", parameters: { how: "hang-listening" } }] },
  { route: "fine", policies: [{ name: "tag", parameters: { label: "1" } }] },
  { route: "response", policies: [{ name: "tag-response", parameters: { label: "a" } }] },
  { route: "deny", policies: [{ name: "deny", parameters: { status: 403, body: "no: 100 %" } }] },
];

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

function streamsActive(): Promise<number> {
  return stack.engine.metric("policy_kernel_streams_active");
}

async function allStreamsFreed(): Promise<void> {
  await waitFor("end of every stream", async () => (await streamsActive()) === 0);
}

test("edge: a hook that never ends where Envoy gives up first: 504, reaches no upstream, and its stream is freed", async () => {
  stack.upstream.forget();
  const envoy = await startEnvoyFor(stack, {
    routes,
    envoy({ extProc }) {
      extProc.message_timeout = "0.2s";
    },
  });
  try {
    expect((await request(envoy.port, { path: "/hang" })).status).toBe(504);
    expect(stack.upstream.requests).toEqual([]);
    await allStreamsFreed();
  } finally {
    await envoy.stop();
  }
});

test("edge: clients that go away while a hook waits leave nothing behind, and the hook is told", async () => {
  stack.upstream.forget();
  const told = () => stack.engine.logs().filter(({ message }) => message === "told by its signal");
  const cancelled = await stack.engine.metric("policy_kernel_requests_total", { status: "cancelled" });
  const connections = await Promise.all(
    Array.from({ length: HANGING }, () => HttpConnection.open(stack.envoy.port)),
  );
  for (const connection of connections) connection.write("GET /listen HTTP/1.1\r\nhost: a\r\n\r\n");
  await waitFor("hooks that wait", async () => (await streamsActive()) === HANGING);
  for (const connection of connections) connection.close();
  await allStreamsFreed();
  const after = await stack.engine.metric("policy_kernel_requests_total", { status: "cancelled" });
  expect(after - cancelled).toBe(HANGING);
  await waitFor("signals", () => told().length >= HANGING);
  expect(told()).toHaveLength(HANGING);
  expect(told()[0]?.metadata?.reason).toBe("AbortError");
  expect(stack.upstream.requests).toEqual([]);
});

test("edge: a gRPC client gets a denial as gRPC says it", async () => {
  const headers: [string, string][] = [["content-type", "application/grpc"]];
  const response = await stack.request({ method: "POST", path: "/deny", headers });
  expect([response.status, response.header("content-type"), response.text()]).toEqual([
    200,
    "application/grpc",
    "",
  ]);
  expect([response.header("grpc-status"), response.header("grpc-message")]).toEqual(["7", "no: 100 %25"]);
});

test("edge: full duplex bodies are refused, also where no policy is", async () => {
  stack.upstream.forget();
  const envoy = await fullDuplex();
  try {
    for (const path of ["/fine", "/nobody"]) {
      const response = await request(envoy.port, { method: "POST", path, body: "x".repeat(100_000) });
      expect([response.status, response.text().split(" ")[0]]).toEqual([500, "unsupported_body_mode"]);
    }
    expect(stack.upstream.requests).toEqual([]);
  } finally {
    await envoy.stop();
  }
});

test("edge: an Envoy that sends the response's body only is broken off where a request step should have run", async () => {
  const envoy = await startEnvoyFor(stack, {
    routes,
    envoy({ extProc }) {
      extProc.processing_mode = {
        request_header_mode: "SKIP",
        response_header_mode: "SKIP",
        response_body_mode: "BUFFERED",
      };
    },
  });
  try {
    // The head is on its way by then: Envoy can only break the response off.
    const errors = { reason: "out_of_order" };
    const before = await stack.engine.metric("policy_kernel_protocol_errors_total", errors);
    await expect(request(envoy.port, { path: "/fine" })).rejects.toThrow("stream ended");
    await waitFor("protocol error", async () => {
      return (await stack.engine.metric("policy_kernel_protocol_errors_total", errors)) === before + 1;
    });
    expect((await request(envoy.port, { path: "/nobody" })).status).toBe(200);
  } finally {
    await envoy.stop();
  }
});

test("edge: no engine, no pass: not for routes with policies, nor for others, nor for a response", async () => {
  const { promise: until, resolve: answer } = Promise.withResolvers<void>();
  stack.upstream.on("/response/slow", { until });
  stack.upstream.forget();
  const waiting = stack.get("/response/slow");
  await waitFor("request at the upstream", () => stack.upstream.requests.length === 1);
  stack.engine.signal("SIGKILL");
  await stack.engine.exited;
  answer();
  expect((await waiting).status).toBe(500);
  stack.upstream.forget();
  expect((await stack.get("/fine")).status).toBe(500);
  expect((await stack.get("/nobody")).status).toBe(500);
  expect(stack.upstream.requests).toEqual([]);
});

function fullDuplex(): Promise<RunningEnvoy> {
  return startEnvoyFor(stack, {
    routes,
    envoy({ extProc }) {
      for (const direction of ["request", "response"]) {
        extProc.processing_mode[`${direction}_body_mode`] = "FULL_DUPLEX_STREAMED";
        extProc.processing_mode[`${direction}_trailer_mode`] = "SEND";
      }
    },
  });
}
