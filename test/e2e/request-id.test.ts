// Ids through the real Envoy, which makes x-request-id itself and takes away what clients send there.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7/;
const id = (parameters: Record<string, unknown>) => ({ name: "request-id", version: "v1.0.0", parameters });
const apiKey = { name: "api-key-validation", version: "v1.0.0", parameters: { keys: ["acme-key-1"] } };

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      { route: "envoys", policies: [id({})] },
      { route: "correlated", policies: [id({ header: "x-correlation-id", generator: "uuidv7" })] },
      { route: "trusting", policies: [id({ header: "x-correlation-id", trustIncoming: true })] },
      { route: "denied", policies: [apiKey, id({})] },
      { route: "silent", policies: [id({ echo: false })] },
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test("x-request-id is Envoy's: the upstream and the client have the same", async () => {
  const response = await stack.get("/envoys", [["x-request-id", "forged"]]);
  const seen = response.echo().header("x-request-id");
  expect(seen).toMatch(UUID);
  expect(response.header("x-request-id")).toBe(seen);
});

test("another header has a new id unless a client's is trusted", async () => {
  const headers = [["x-correlation-id", "mine-1"]] as const;
  const made = await stack.get("/correlated", headers);
  expect(made.echo().header("x-correlation-id")).toMatch(UUID_V7);
  expect(made.header("x-correlation-id")).toBe(made.echo().header("x-correlation-id"));
  const kept = await stack.get("/trusting", headers);
  expect([kept.echo().header("x-correlation-id"), kept.header("x-correlation-id")]).toEqual([
    "mine-1",
    "mine-1",
  ]);
  const replaced = await stack.get("/trusting", [["x-correlation-id", "<mine>"]]);
  expect(replaced.header("x-correlation-id")).toMatch(UUID);
});

test("a denial in front of the policy has the id", async () => {
  const response = await stack.get("/denied");
  expect(response.status).toBe(401);
  expect(response.header("x-request-id")).toMatch(UUID);
});

test("with echo: false the client gets none", async () => {
  const response = await stack.get("/silent");
  expect(response.echo().header("x-request-id")).toMatch(UUID);
  expect(response.header("x-request-id")).toBeUndefined();
});
