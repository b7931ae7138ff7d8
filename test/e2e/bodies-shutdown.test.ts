// An engine that goes away while it waits for bodies lets nothing pass.
import { expect, test } from "bun:test";
import { onRequest, onResponse, route } from "../helpers/body-routes.ts";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { HttpConnection } from "../helpers/http.ts";
import { startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const routes = [
  route("request", onRequest({ see: "x-saw" })),
  route("response", onResponse({ see: "x-saw" })),
];

test.each(["SIGKILL", "SIGTERM"] as const)(
  "edge: %s while bodies are awaited: both exchanges fail, and the request's body reaches nobody",
  async (signal) => {
    const stack = await startStack({ routes, config: { limits: { shutdownTimeout: "500ms" } } });
    try {
      stack.upstream.on("/response", { body: "begun", unfinished: true });
      const [request, response] = [
        await HttpConnection.open(stack.envoy.port),
        await HttpConnection.open(stack.envoy.port),
      ];
      request.write("POST /request HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo");
      response.write("GET /response HTTP/1.1\r\nhost: a\r\n\r\n");
      await waitFor("waiting exchanges", async () => {
        const active = await stack.engine.metric("policy_kernel_streams_active");
        return active === 2 && stack.upstream.requests.length === 1;
      });
      stack.engine.signal(signal);
      await stack.engine.exited;
      request.write("dy");
      expect((await request.read()).status).toBe(500);
      expect((await response.read()).status).toBe(500);
      expect(stack.upstream.requests.map(({ path }) => path)).toEqual(["/response"]);
      request.close();
      response.close();
    } finally {
      await stack.stop();
    }
  },
  BUILD_TIMEOUT_MS,
);

test(
  "edge: SIGTERM while a body is awaited that comes in time: it is read, and the answer is its own",
  async () => {
    const stack = await startStack({ routes, config: { limits: { shutdownTimeout: "20s" } } });
    try {
      const connection = await HttpConnection.open(stack.envoy.port);
      connection.write("POST /request HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo");
      await waitFor("waiting exchange", async () => {
        return (await stack.engine.metric("policy_kernel_streams_active")) === 1;
      });
      stack.engine.signal("SIGTERM");
      await waitFor("engine that is not ready", async () => !(await stack.engine.isReady()));
      connection.write("dy");
      const response = await connection.read();
      expect([
        response.status,
        response.echo().request.body,
        response.echo().header("x-saw") !== undefined,
      ]).toEqual([200, "body", true]);
      connection.close();
      expect(await stack.engine.exited).toBe(0);
    } finally {
      await stack.stop();
    }
  },
  BUILD_TIMEOUT_MS,
);
