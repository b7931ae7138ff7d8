import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ClientRequest, ClientResponse } from "../test/helpers/http.ts";
import type { Stack } from "../test/helpers/stack.ts";
import { waitFor } from "../test/helpers/wait.ts";

/** One line of the demo: what was asked, what came of it, and why. */
export interface Step {
  readonly request: string;
  readonly decision: string;
  readonly expected: string;
  readonly why: string;
}

const KEY = "demo-key-of-acme";

/** Sends the demo's requests, one after the other. */
export async function* demoSteps(stack: Stack, folder: string): AsyncGenerator<Step> {
  const routes = await readFile(join(folder, "routes.yaml"), "utf8");
  yield* headers(stack);
  yield* decisions(stack);
  yield* reloads(stack, routes);
}

async function* headers(stack: Stack): AsyncGenerator<Step> {
  const response = await stack.get("/public/news", [
    ["x-internal-user", "root"],
    ["x-hops", "client"],
  ]);
  const echo = response.echo();
  const request = "GET /public/news";
  const why = "set-header v1.0.0";
  yield {
    request,
    decision: `${response.status}, upstream got ${echo.path}`,
    expected: "200, upstream got /public/news",
    why: `${why} denies nothing`,
  };
  const seen = (name: string) => echo.headerValues(name).join(" + ") || "none";
  yield {
    request: `${request} with x-hops: client, x-internal-user: root`,
    decision: `x-gateway: ${seen("x-gateway")}; x-hops: ${seen("x-hops")}; x-internal-user: ${seen("x-internal-user")}`,
    expected: "x-gateway: policy-engine; x-hops: client + gateway; x-internal-user: none",
    why: `${why} before the upstream`,
  };
  const got = (name: string) => response.headerValues(name).join(" + ") || "none";
  yield {
    request: `${request}, answered with x-trail: upstream, x-powered-by: demo`,
    decision: `x-frame-options: ${got("x-frame-options")}; x-trail: ${got("x-trail")}; x-powered-by: ${got("x-powered-by")}`,
    expected: "x-frame-options: DENY; x-trail: upstream + gateway; x-powered-by: none",
    why: `${why} before the client`,
  };
}

async function* decisions(stack: Stack): AsyncGenerator<Step> {
  yield {
    ...(await ask(
      stack,
      { path: "/shop/v1/items?page=2" },
      (response) => `upstream got ${response.echo().path}`,
    )),
    expected: "200, upstream got /catalogue/items?page=2",
    why: "path-rewrite v1.0.0, the query stays",
  };
  yield {
    ...(await ask(stack, { path: "/orders" }, text)),
    expected: "401 API key required, nothing went upstream",
    why: "api-key-validation v1.0.0 asks for a key",
  };
  yield {
    ...(await ask(stack, { path: "/orders", headers: [["x-api-key", "guessed-key"]] }, text)),
    expected: "403 API key not valid, nothing went upstream",
    why: "api-key-validation v1.0.0 knows no such key",
  };
  const consumer = (response: ClientResponse): string => {
    const echo = response.echo();
    return `consumer ${echo.header("x-consumer-id") ?? "not told"}, plan ${echo.header("x-plan") ?? "not told"}`;
  };
  const headers: ClientRequest["headers"] = [["x-api-key", KEY]];
  yield {
    ...(await ask(stack, { path: "/orders/7", headers }, consumer)),
    expected: "200, consumer not told, plan not told",
    why: "api-key-validation v1.0.0 (the route says v1)",
  };
  yield {
    ...(await ask(stack, { path: "/reports/7", headers }, consumer)),
    expected: "200, consumer acme, plan gold",
    why: "api-key-validation v2.0.0 knows whose key it is",
  };
  yield {
    ...(await ask(stack, { path: "/elsewhere" }, (response) => `upstream got ${response.echo().path}`)),
    expected: "200, upstream got /elsewhere",
    why: "onUnknownRoute: allow",
  };
}

async function* reloads(stack: Stack, routes: string): AsyncGenerator<Step> {
  const changed = routes.replace("keys: [demo-key-of-acme]", "keys: [another-demo-key]");
  await stack.engine.writeRoutes(changed);
  const headers: ClientRequest["headers"] = [["x-api-key", "another-demo-key"]];
  await waitFor(
    "changed route",
    async () => (await stack.request({ path: "/orders", headers })).status === 200,
  );
  yield {
    ...(await ask(stack, { path: "/orders", headers: [["x-api-key", KEY]] }, text)),
    expected: "403 API key not valid, nothing went upstream",
    why: "the file now names another key; no restart",
  };
  const since = stack.engine.logs().length;
  await stack.engine.writeRoutes(changed.replace("version: v2.0.0", "version: v9.0.0"));
  const line = await stack.engine.waitForLog("v9.0.0", since);
  yield {
    request: 'routes.yaml changed to "version: v9.0.0"',
    decision: line.level === "error" ? "refused" : "not refused",
    expected: "refused",
    why: [line.message.slice(line.message.indexOf("routes.yaml")), line.metadata?.hint].join("; "),
  };
  yield {
    ...(await ask(
      stack,
      { path: "/reports", headers: [["x-api-key", KEY]] },
      (response) => `plan ${response.echo().header("x-plan")}`,
    )),
    expected: "200, plan gold",
    why: "the last good chain of the route stays",
  };
}

async function ask(
  stack: Stack,
  request: ClientRequest,
  describe: (response: ClientResponse) => string,
): Promise<{ request: string; decision: string }> {
  stack.upstream.forget();
  const response = await stack.request(request);
  const key = request.headers?.[0];
  const passed = stack.upstream.requests.length > 0;
  return {
    request: `GET ${request.path}${key === undefined ? "" : ` with ${key[0]}: ${key[1]}`}`,
    decision: passed
      ? `${response.status}, ${describe(response)}`
      : `${response.status} ${response.text()}, nothing went upstream`,
  };
}

function text(response: ClientResponse): string {
  return response.text();
}
