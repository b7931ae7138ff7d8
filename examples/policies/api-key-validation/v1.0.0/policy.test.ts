import { describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestChain, testChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

const definition = import.meta.url;
const KEYS = ["first-key-0123456789", "second-key-0123456789"];

function apiKeys(params: object = {}): Promise<TestChain> {
  return testPolicy(policy, { definition, params: { keys: KEYS, ...params } });
}

test("FR-049: lets each configured key pass, and hides it from the upstream", async () => {
  await using chain = await apiKeys();
  for (const key of KEYS) {
    const exchange = await chain.request({ headers: { "X-API-Key": key, "x-other": "stays" } });
    expect(exchange.outcome).toBe("passed");
    expect(exchange.changes).toEqual({ "x-api-key": null });
  }
});

describe("FR-049: refuses", () => {
  test.each([{}, { "x-api-key": "" }, { authorization: KEYS[0]! }])(
    "%j, which has no key, with 401",
    async (headers) => {
      await using chain = await apiKeys();
      const { outcome, answer } = await chain.request({ headers });
      expect(outcome).toBe("denied");
      expect(answer).toMatchObject({ status: 401, reason: "api_key_missing", body: "API key required" });
      expect(answer?.headers.get("www-authenticate")).toBe("ApiKey");
    },
  );

  const wrong = [
    "first-key-012345678",
    "first-key-01234567890",
    "FIRST-KEY-0123456789",
    `${KEYS[0]} `,
    `${KEYS[0]}, ${KEYS[1]}`,
    "*",
    "undefined",
    "constructor",
    "k".repeat(100_000),
    "\u00e9\u0000",
  ];
  test.each(wrong)("the key %j with 403", async (key) => {
    await using chain = await apiKeys();
    const { outcome, answer } = await chain.request({ headers: { "x-api-key": key } });
    expect(outcome).toBe("denied");
    expect(answer).toMatchObject({ status: 403, reason: "api_key_invalid", body: "API key not valid" });
  });

  test("bytes that are no UTF-8 with 403", async () => {
    await using chain = await apiKeys();
    const { answer } = await chain.request({ headers: { "x-api-key": new Uint8Array([0xff, 0xfe]) } });
    expect(answer?.status).toBe(403);
  });

  test("two keys with 403, also two good ones", async () => {
    await using chain = await apiKeys();
    for (const keys of [KEYS, [KEYS[0]!, KEYS[0]!], [KEYS[0]!, "wrong"], ["wrong", KEYS[0]!]]) {
      const { answer } = await chain.request({ headers: { "x-api-key": keys } });
      expect(answer?.status).toBe(403);
    }
  });
});

test("US2.2: with an invalid key no later policy runs", async () => {
  let runs = 0;
  const later = () => ({ onRequest: () => void runs++ });
  await using chain = await testChain([{ policy, definition, params: { keys: KEYS } }, { policy: later }]);
  const { answer } = await chain.request({ headers: { "x-api-key": "wrong" } });
  expect(answer?.status).toBe(403);
  expect(runs).toBe(0);
  await chain.request({ headers: { "x-api-key": KEYS[0]! } });
  expect(runs).toBe(1);
});

test("US2.3: a refused request does not change the next one's answer", async () => {
  await using chain = await apiKeys();
  const statuses: (number | undefined)[] = [];
  for (const key of ["wrong", KEYS[0]!, "wrong", KEYS[1]!]) {
    statuses.push((await chain.request({ headers: { "x-api-key": key } })).answer?.status);
  }
  expect(statuses).toEqual([403, undefined, 403, undefined]);
});

test("reads the header it is told to, in any case", async () => {
  await using chain = await apiKeys({ name: "X-Token" });
  expect((await chain.request({ headers: { "x-token": KEYS[0]! } })).changes).toEqual({ "x-token": null });
  expect((await chain.request({ headers: { "x-api-key": KEYS[0]! } })).answer?.status).toBe(401);
});

describe("in: query", () => {
  const requests: [path: string, upstream: string][] = [
    [`/orders?key=${KEYS[0]}`, "/orders"],
    [`/orders?a=1&key=${KEYS[0]}&b=2`, "/orders?a=1&b=2"],
    ["/orders?key=first%2Dkey-0123456789&a=x%26y", "/orders?a=x%26y"],
    [`/orders?%6Bey=${KEYS[0]}&a`, "/orders?a"],
    [`/orders?b=%20+%7e&flag&&key=${KEYS[0]}&a='~'`, "/orders?b=%20+%7e&flag&&a='~'"],
    [`/orders?a=\u00e9&key=${KEYS[0]}`, "/orders?a=%C3%A9"],
    [`/orders??a=1&key=${KEYS[0]}`, "/orders?%3Fa=1"],
    [`/orders??key=${KEYS[0]}`, "/orders"],
  ];
  test.each(requests)("takes the key out of %s", async (path, upstream) => {
    await using chain = await apiKeys({ in: "query", name: "key" });
    const exchange = await chain.request({ path });
    expect(exchange.outcome).toBe("passed");
    expect(exchange.path).toBe(upstream);
  });

  test("takes the key out of a query that an earlier policy wrote", async () => {
    const rewrite = () => ({ onRequest: () => ({ query: `b=%20c&key=${KEYS[1]}` }) });
    const params = { keys: KEYS, in: "query", name: "key" };
    await using chain = await testChain([{ policy: rewrite }, { policy, definition, params }]);
    const exchange = await chain.request({ path: `/orders?a=1&key=${KEYS[0]}` });
    expect(exchange.path).toBe("/orders?b=%20c");
  });

  test("refuses a missing, a wrong and a second key, and one in a header", async () => {
    await using chain = await apiKeys({ in: "query", name: "key" });
    const status = async (path: string, headers = {}) =>
      (await chain.request({ path, headers })).answer?.status;
    expect(await status("/orders")).toBe(401);
    expect(await status("/orders?key=")).toBe(401);
    expect(await status("/orders?key")).toBe(401);
    expect(await status(`/orders?Key=${KEYS[0]}`)).toBe(401);
    expect(await status("/orders", { key: KEYS[0]! })).toBe(401);
    expect(await status("/orders?key=wrong")).toBe(403);
    expect(await status(`/orders?key=${KEYS[0]}&key=wrong`)).toBe(403);
  });
});

test("keepCredential leaves the request as it came", async () => {
  await using header = await apiKeys({ keepCredential: true });
  expect((await header.request({ headers: { "x-api-key": KEYS[0]! } })).changes).toEqual({});
  await using query = await apiKeys({ keepCredential: true, in: "query", name: "key" });
  expect((await query.request({ path: `/a?b=%20&key=${KEYS[0]}` })).changes).toEqual({});
});

test("takes keys from files and from the environment", async () => {
  const folder = await mkdtemp(join(tmpdir(), "api-key-"));
  const file = join(folder, "key");
  await writeFile(file, "key-from-a-file\n");
  await using chain = await testPolicy(policy, {
    definition,
    params: { keys: [{ fromFile: file }, { fromEnv: "ORDERS_KEY" }] },
    env: { ORDERS_KEY: "key-from-the-environment" },
  });
  await rm(folder, { recursive: true });
  for (const key of ["key-from-a-file", "key-from-the-environment"]) {
    expect((await chain.request({ headers: { "x-api-key": key } })).outcome).toBe("passed");
  }
  expect((await chain.request({ headers: { "x-api-key": "key-from-a-file\n" } })).answer?.status).toBe(403);
});

test("never writes a key to the log", async () => {
  await using chain = await apiKeys();
  await chain.request({ headers: { "x-api-key": KEYS[0]! } });
  await chain.request({ headers: { "x-api-key": "a-wrong-key" } });
  const log = JSON.stringify(chain.logs);
  for (const key of [...KEYS, "a-wrong-key"]) expect(log).not.toContain(key);
});

describe("US8: refuses parameters", () => {
  const refused: [string, object, string][] = [
    ["no keys", { keys: [] }, "/keys"],
    ["a short key", { keys: ["short"] }, "8 to 512 visible ASCII characters"],
    ["a key with a blank", { keys: ["two words"] }, "8 to 512 visible ASCII characters"],
    ["a key that is not there", { keys: [{ fromEnv: "NO_SUCH_VARIABLE" }] }, "NO_SUCH_VARIABLE"],
    ["the same key twice", { keys: [KEYS[0], KEYS[0]] }, "the same key twice"],
    ["another place", { in: "cookie" }, "/in"],
    ["a name that no header can have", { name: "x api key" }, "/name"],
    ["a header that cannot be taken away", { name: "Host" }, 'name is "Host"'],
    ["an unknown key", { header: "x-api-key" }, "header"],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(apiKeys(params)).rejects.toThrow(message);
  });

  test("and never quotes a key", async () => {
    const secrets = ["a secret", "another-secret-key"];
    const error = await apiKeys({ keys: [...secrets, secrets[1]] }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(Error);
    for (const secret of secrets) expect(String(error)).not.toContain(secret);
  });
});
