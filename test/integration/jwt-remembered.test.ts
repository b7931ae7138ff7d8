// A token that was verified counts no longer than its key does.
import {
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  mock,
  setSystemTime,
  spyOn,
  test,
} from "bun:test";
import type { TestChain } from "@policy-engine/testing";
import { inSeconds, TestIssuer } from "../helpers/tokens.ts";
import { ISSUER, jwtChain, VERSIONS } from "./jwt-chains.ts";

let first: TestIssuer;
let second: TestIssuer;
/** What the issuer answers; undefined while it is down. */
let published: readonly TestIssuer[] | undefined;

beforeAll(async () => {
  [first, second] = await Promise.all([TestIssuer.create("ES256", "a"), TestIssuer.create("ES256", "b")]);
});
beforeEach(() => {
  published = [first];
  const answer = async () => {
    if (published === undefined) throw new Error("down");
    return Response.json({ keys: published.map(({ jwk }) => jwk) });
  };
  spyOn(globalThis, "fetch").mockImplementation(answer as unknown as typeof fetch);
});
afterEach(() => {
  setSystemTime();
  mock.restore();
});

describe.each(VERSIONS)("jwt-validation %s", (version) => {
  function jwt(more: object = {}): Promise<TestChain> {
    const issuers = [{ issuer: ISSUER, audiences: [], jwksUrl: `${ISSUER}jwks` }];
    return jwtChain(version, { issuers, keyWait: "10s", ...more });
  }

  async function token(issuer: TestIssuer): Promise<string> {
    return issuer.sign({ iss: ISSUER, sub: issuer.kid, exp: inSeconds(100 * 3600) });
  }

  async function ask(chain: TestChain, text: string): Promise<string> {
    const exchange = await chain.request({ headers: { authorization: `Bearer ${text}` } });
    return exchange.answer?.reason ?? exchange.outcome;
  }

  test("it ends with the key", async () => {
    await using chain = await jwt();
    const [old, young] = await Promise.all([token(first), token(second)]);
    expect([await ask(chain, old), await ask(chain, old)]).toEqual(["passed", "passed"]);
    published = [second];
    // An unknown key makes the issuer be asked.
    expect(await ask(chain, young)).toBe("passed");
    expect([await ask(chain, old), await ask(chain, young)]).toEqual(["key_unknown", "passed"]);
  });

  test("it stays while other keys come and go", async () => {
    await using chain = await jwt();
    const [old, young] = await Promise.all([token(first), token(second)]);
    expect(await ask(chain, old)).toBe("passed");
    const verify = spyOn(crypto.subtle, "verify");
    published = [first, second];
    expect(await ask(chain, young)).toBe("passed");
    expect(verify).toHaveBeenCalledTimes(1);
    expect(await ask(chain, old)).toBe("passed");
    expect(verify).toHaveBeenCalledTimes(1);
  });

  test("a key that is taken back while it verifies has verified nothing", async () => {
    await using chain = await jwt();
    const [old, older, young] = await Promise.all([token(first), token(first), token(second)]);
    expect(await ask(chain, old)).toBe("passed");
    const original = crypto.subtle.verify.bind(crypto.subtle);
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    spyOn(crypto.subtle, "verify").mockImplementationOnce(async (...args) => {
      begin();
      await held;
      return original(...args);
    });
    const pending = ask(chain, older);
    await begun;
    published = [second];
    expect(await ask(chain, young)).toBe("passed");
    release();
    expect(await pending).toBe("key_unknown");
  });

  test("it ends when the keys may not be relied on any more, and no new one is verified with them", async () => {
    await using chain = await jwt({ keepKeysFor: "1h" });
    const old = await token(first);
    expect(await ask(chain, old)).toBe("passed");
    published = undefined;
    setSystemTime(Date.now() + 3600_000 - 1000);
    expect([await ask(chain, old), await ask(chain, await token(first))]).toEqual(["passed", "passed"]);
    setSystemTime(Date.now() + 1000);
    expect([await ask(chain, old), await ask(chain, await token(first))]).toEqual([
      "keys_unavailable",
      "keys_unavailable",
    ]);
  });

  test("it is verified once, with a memory, and each time without", async () => {
    for (const [cacheSize, times] of [
      [10, 1],
      [0, 3],
    ]) {
      await using chain = await jwt({ cacheSize });
      const text = await token(first);
      const verify = spyOn(crypto.subtle, "verify").mockClear();
      for (let round = 0; round < 3; round++) expect(await ask(chain, text)).toBe("passed");
      expect(verify).toHaveBeenCalledTimes(times!);
    }
  });

  test("the one that was not asked for of late is forgotten first", async () => {
    await using chain = await jwt({ cacheSize: 4 });
    const tokens = await Promise.all(
      Array.from({ length: 6 }, (_, n) => first.sign({ iss: ISSUER, sub: String(n), exp: inSeconds(100) })),
    );
    const verify = spyOn(crypto.subtle, "verify").mockClear();
    const [kept, ...others] = tokens;
    expect(await ask(chain, kept!)).toBe("passed");
    for (const other of others) {
      expect(await ask(chain, other)).toBe("passed");
      expect(await ask(chain, kept!)).toBe("passed");
    }
    expect(verify).toHaveBeenCalledTimes(tokens.length);
    // The others are more than there is room for.
    for (const other of others) expect(await ask(chain, other)).toBe("passed");
    expect(verify.mock.calls.length).toBeGreaterThan(tokens.length);
  });
});
