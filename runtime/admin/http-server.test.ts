import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEngineMetrics } from "../observability/engine-metrics.ts";
import { createLogger } from "../observability/log.ts";
import { parseExposition } from "../observability/parse-exposition.ts";
import { adminPages, type EngineStatus } from "./admin-pages.ts";
import { healthPages, type Readiness } from "./health-pages.ts";
import {
  type HttpAnswer,
  type HttpPages,
  type HttpServer,
  type HttpServerSettings,
  jsonAnswer,
  startHttpServer,
} from "./http-server.ts";

const servers: HttpServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

function serve(pages: HttpPages, more: Partial<HttpServerSettings> = {}): { url: string; lines: string[] } {
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "json", write: (line) => lines.push(line) });
  const server = startHttpServer({ endpoint: { hostname: "127.0.0.1", port: 0 }, pages, log, ...more });
  servers.push(server);
  return { url: `http://${server.address}`, lines };
}

/** Sends bytes as they are; all that comes back. */
async function exchange(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(request);
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  return answer;
}

const PAGES: HttpPages = { "/a": () => jsonAnswer(200, { a: 1 }) };

describe("startHttpServer()", () => {
  test("answers GET and HEAD with type, length and no caching", async () => {
    const { url } = serve(PAGES);
    const got = await fetch(`${url}/a?x=1`);
    expect(got.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(got.headers.get("cache-control")).toBe("no-store");
    expect(await got.json()).toEqual({ a: 1 });
    const head = await fetch(`${url}/a`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  test.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])("refuses %s with 405", async (method) => {
    const { url } = serve(PAGES);
    const response = await fetch(`${url}/a`, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
  });

  test("takes PUT where a page can be changed, and no other method", async () => {
    const bodies: string[] = [];
    const put = (body: string): HttpAnswer => {
      bodies.push(body);
      return jsonAnswer(200, { taken: true });
    };
    const { url } = serve({ "/w": { get: () => jsonAnswer(200, { w: 1 }), put } });
    expect(await (await fetch(`${url}/w`)).json()).toEqual({ w: 1 });
    expect(await (await fetch(`${url}/w`, { method: "PUT", body: "x" })).json()).toEqual({ taken: true });
    expect((await fetch(`${url}/w`, { method: "PUT", body: "y".repeat(1025) })).status).toBe(413);
    for (const method of ["POST", "DELETE", "OPTIONS"]) {
      const response = await fetch(`${url}/w`, { method });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT"]);
      // A web page may not send a PUT to another origin that does not allow it.
      expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
    expect(bodies).toEqual(["x"]);
  });

  test.each(["/", "/b", "/a/", "/__proto__", "/constructor"])("knows no page %s", async (path) => {
    const { url } = serve(PAGES);
    expect((await fetch(url + path)).status).toBe(404);
  });

  test("edge: large bodies and headers are refused", async () => {
    const { url } = serve(PAGES);
    expect((await fetch(`${url}/a`, { method: "POST", body: "x".repeat(100_000) })).status).toBe(413);
    expect((await fetch(`${url}/a`, { headers: { x: "x".repeat(100_000) } })).status).toBe(431);
  });

  test("edge: a page that throws tells the client nothing and the log everything", async () => {
    const { url, lines } = serve({
      "/a": () => {
        throw new Error("hidden detail");
      },
    });
    const response = await fetch(`${url}/a`);
    expect([response.status, await response.text()]).toEqual([500, "Internal error\n"]);
    expect(lines.join("")).toContain("hidden detail");
  });

  test("edge: bytes that are not HTTP do not stop it", async () => {
    const { url } = serve(PAGES);
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.end("\u0016\u0003\u0001garbage\r\n\r\n");
    socket.resume();
    await closed;
    expect((await fetch(`${url}/a`)).status).toBe(200);
  });

  test("edge: a name that is not this machine's is refused where only local hosts are answered", async () => {
    const { url } = serve(PAGES, { localHostsOnly: true });
    const status = async (host: string): Promise<number> =>
      (await fetch(`${url}/a`, { headers: { host } })).status;
    expect(await status("attacker.example")).toBe(403);
    expect(await status("127.0.0.1.attacker.example:9002")).toBe(403);
    expect(await status("localhost:9002")).toBe(200);
    expect(await status("[::1]:9002")).toBe(200);
    expect((await fetch(`${url}/a`)).status).toBe(200);
  });

  test.each([
    "HTTP/1.0\r\n",
    "HTTP/1.1\r\nhost: [\r\n",
    "HTTP/1.1\r\nhost: a b@:x\r\n",
    "HTTP/1.1\r\nhost:\r\n",
  ])("003 8.3: a probe that names no host, or none that is one, gets the page: %j", async (rest) => {
    const { url, lines } = serve(PAGES);
    expect(await exchange(url, `GET /a?b ${rest}connection: close\r\n\r\n`)).toStartWith("HTTP/1.1 200 OK");
    expect(await exchange(url, `GET /b ${rest}connection: close\r\n\r\n`)).toStartWith("HTTP/1.1 404");
    expect(lines).toEqual([]);
  });

  test("edge: a port in use throws with a code", () => {
    const { url } = serve(PAGES);
    const port = Number(new URL(url).port);
    expect(() => serve(PAGES, { endpoint: { hostname: "127.0.0.1", port } })).toThrow(
      expect.objectContaining({ code: "EADDRINUSE" }),
    );
  });

  test("serves on a Unix socket", async () => {
    const folder = await mkdtemp(join(tmpdir(), "http-"));
    const unix = join(folder, "s.sock");
    serve(PAGES, { endpoint: { unix } });
    expect((await fetch("http://localhost/a", { unix })).status).toBe(200);
    await rm(folder, { recursive: true });
  });
});

describe("healthPages()", () => {
  test("003 8.3: live and ready, with the reason while not ready", async () => {
    let state: Readiness = "starting";
    const { url } = serve(healthPages({ readiness: () => state, metrics: createEngineMetrics() }));
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    for (state of ["starting", "no_configuration", "stopping"] as const) {
      const response = await fetch(`${url}/health/ready`);
      expect([response.status, await response.json()]).toEqual([503, { status: "not_ready", reason: state }]);
    }
    state = "ready";
    const response = await fetch(`${url}/health/ready`);
    expect([response.status, await response.json()]).toEqual([200, { status: "ready" }]);
  });

  test("003 6.1: metrics in the Prometheus text format", async () => {
    const metrics = createEngineMetrics();
    metrics.requests("orders", "passed").inc(3);
    const { url } = serve(healthPages({ readiness: () => "ready", metrics }));
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(parseExposition(await response.text()).samples).toContainEqual({
      name: "policy_kernel_requests_total",
      labels: { route: "orders", worker: "main", status: "passed" },
      value: 3,
    });
  });
});

describe("adminPages()", () => {
  test("serves what its sources return", async () => {
    const status = { readiness: "ready", uptimeSeconds: 1 } as EngineStatus;
    const { url } = serve(
      adminPages({
        status: () => status,
        config: () => ({ key: "[redacted]" }),
        policies: () => [],
        log: createLogger({ level: "warn", format: "json", write: () => {} }),
      }),
    );
    const get = async (path: string): Promise<unknown> => (await fetch(url + path)).json();
    expect(await get("/config")).toEqual({ key: "[redacted]" });
    expect(await get("/policies")).toEqual({ policies: [] });
    expect(await get("/status")).toEqual(status);
    expect(await get("/log-level")).toEqual({ level: "warn" });
    expect(await get("/")).toEqual({ pages: ["/config", "/log-level", "/policies", "/status"] });
  });
});
