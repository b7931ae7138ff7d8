// US8 with the policies it names: what is wrong with parameters is said before any request comes.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { inSeconds, TestIssuer } from "../helpers/tokens.ts";

const ISSUER = "https://issuer.example/";

let issuer: TestIssuer;
let stack: Stack;

beforeAll(async () => {
  issuer = await TestIssuer.create();
  stack = await startStack({
    routes: [
      jwt("http", { issuers: [{ issuer: ISSUER, audiences: [], jwksUrl: "http://issuer.example/jwks" }] }),
      { route: "range", policies: [{ name: "rate-limiting", parameters: { requestsPerSecond: -1 } }] },
      jwt("pattern", { issuers: keys(), clockSkew: "a while" }),
      jwt("missing", { issuers: [{}] }),
      jwt("good", { issuers: keys(), claimHeaders: { "x-user": "sub" } }),
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

function keys(): object[] {
  return [{ issuer: ISSUER, audiences: ["orders"], jwks: issuer.jwks }];
}

function jwt(route: string, parameters: Record<string, unknown>): RouteSpec {
  return { route, policies: [{ name: "jwt-validation", version: "v1", parameters }] };
}

async function problem(pointer: string): Promise<string> {
  return JSON.stringify(await stack.engine.waitForLog(pointer));
}

test("US8.1: a jwksUrl that is not HTTPS", async () => {
  const line = await problem("/routes/0/policies/0/parameters/issuers/0/jwksUrl");
  expect(line).toContain("jwksUrl must be HTTPS");
  expect((await stack.get("/http")).status).toBe(503);
});

test("US8.2: a negative requestsPerSecond", async () => {
  expect(await problem("/routes/1/policies/0/parameters/requestsPerSecond")).toContain("at least 1");
  expect((await stack.get("/range")).status).toBe(503);
});

test("US8.3: a duration that does not match its pattern", async () => {
  const line = await problem("/routes/2/policies/0/parameters/clockSkew");
  expect(line).toContain("whole number");
  expect((await stack.get("/pattern")).status).toBe(503);
});

test("US8.4: what is missing is listed, all of it", async () => {
  const line = await problem("/routes/3/policies/0/parameters/issuers/0");
  for (const name of ["issuer", "audiences"]) expect(line).toContain(name);
  expect((await stack.get("/missing")).status).toBe(503);
});

test("US8.5: valid parameters are accepted and take effect", async () => {
  const token = await issuer.sign({ iss: ISSUER, aud: "orders", sub: "alice", exp: inSeconds(300) });
  const response = await stack.get("/good", [["authorization", `Bearer ${token}`]]);
  expect([response.status, response.echo().header("x-user")]).toEqual([200, "alice"]);
  expect((await stack.get("/good")).status).toBe(401);
});

test("keys in the configuration are not in the log", () => {
  expect(stack.engine.output()).not.toContain(String(issuer.jwk.x));
});
