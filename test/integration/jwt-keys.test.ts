// The keys of an issuer that rotates them, is slow or down.
import { afterEach, beforeAll, beforeEach, describe, expect, setSystemTime, test } from "bun:test";
import { JwksServer } from "../helpers/jwks-server.ts";
import { TestIssuer } from "../helpers/tokens.ts";
import { waitFor } from "../helpers/wait.ts";
import { has, Polling, usable } from "./jwt-polling.ts";

let first: TestIssuer;
let second: TestIssuer;
let polling: Polling;

beforeAll(async () => {
  [first, second] = await Promise.all([TestIssuer.create("ES256", "a"), TestIssuer.create("ES256", "b")]);
});
beforeEach(() => {
  polling = new Polling();
});
afterEach(() => {
  setSystemTime();
  polling.end();
});

test("FR-051: keys are fetched once, and then there for every request", async () => {
  await using server = new JwksServer([first.jwk]);
  const poller = await polling.poll(server.url);
  await poller.newer();
  for (let round = 0; round < 100; round++) expect(has(poller, first)).toBe(true);
  expect([server.requests.length, usable(poller), polling.levels()]).toEqual([1, true, []]);
});

describe("rotating", () => {
  test("a new key is there after the next look, a removed one is not, and its tokens count no more", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await polling.poll(server.url, { refreshMs: 20 });
    await waitFor("first key", () => has(poller, first));
    const [removed] = poller.find({ alg: "ES256", kid: "a" });
    server.publish([second.jwk]);
    await waitFor("second key", () => has(poller, second));
    expect([has(poller, first), removed?.active]).toEqual([false, false]);
  });

  test("a key that stays is the very same, so that its tokens stay known", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await polling.poll(server.url, { refreshMs: 20 });
    await waitFor("first key", () => has(poller, first));
    const [kept] = poller.find({ alg: "ES256", kid: "a" });
    server.publish([second.jwk, { ...first.jwk, x5t: "told anew" }]);
    await waitFor("second key", () => has(poller, second));
    expect(poller.find({ alg: "ES256", kid: "a" })).toEqual([kept!]);
    expect(poller.find({ alg: "ES256", kid: "a" })[0]).toBe(kept!);
    expect(kept?.active).toBe(true);
  });

  test("another key under the same kid takes the place of the first", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await polling.poll(server.url, { refreshMs: 20 });
    await waitFor("first key", () => has(poller, first));
    const [replaced] = poller.find({ alg: "ES256", kid: "a" });
    server.publish([{ ...second.jwk, kid: "a" }]);
    await waitFor("end of the first key", () => !replaced!.active);
    expect(poller.find({ alg: "ES256", kid: "a" })).toHaveLength(1);
  });

  test("an unknown key makes the issuer be asked once for all who wait, and then not again for a while", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await polling.poll(server.url);
    await poller.newer();
    server.publish([first.jwk, second.jwk]);
    // The one above was waited for, and counts as no question of its own.
    await Promise.all(Array.from({ length: 50 }, () => poller.newer()));
    expect([has(poller, second), server.requests.length]).toEqual([true, 2]);
    expect(poller.newer()).toBeUndefined();
    expect(server.requests).toHaveLength(2);
  });

  test("nor when the issuer fails", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await polling.poll(server.url);
    await poller.newer();
    server.answer = () => new Response("", { status: 500 });
    await poller.newer();
    expect(poller.newer()).toBeUndefined();
    expect([server.requests.length, has(poller, first), usable(poller)]).toEqual([2, true, true]);
  });

  test("but again when the while is over", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await polling.poll(server.url, { cooldownMs: 0 });
    await poller.newer();
    for (const requests of [2, 3]) {
      await poller.newer();
      expect(server.requests).toHaveLength(requests);
    }
  });
});

describe("caching", () => {
  test("ETag: an answer of 304 keeps the keys", async () => {
    await using server = new JwksServer((request) => {
      if (request.headers.get("if-none-match") === '"v1"') return new Response(null, { status: 304 });
      return Response.json({ keys: [first.jwk] }, { headers: { etag: '"v1"' } });
    });
    const poller = await polling.poll(server.url, { refreshMs: 20 });
    await waitFor("third request", () => server.requests.length >= 3);
    const [request] = server.requests;
    expect(request?.headers.get("if-none-match")).toBeNull();
    expect(server.requests[2]?.headers.get("if-none-match")).toBe('"v1"');
    expect([has(poller, first), usable(poller), polling.levels()]).toEqual([true, true, []]);
  });

  test("a 304 that nobody asked for is no answer", async () => {
    await using server = new JwksServer(() => new Response(null, { status: 304 }));
    const poller = await polling.poll(server.url);
    await poller.newer();
    expect([usable(poller), polling.levels()]).toEqual([false, ["error"]]);
  });

  test("max-age never makes it later than refreshInterval", async () => {
    await using server = new JwksServer(() =>
      Response.json({ keys: [first.jwk] }, { headers: { "cache-control": "public, max-age=999999" } }),
    );
    await polling.poll(server.url, { refreshMs: 20 });
    await waitFor("third request", () => server.requests.length >= 3);
  });
});

describe("down", () => {
  test("at the start: said once, and the keys are there when it comes up", async () => {
    const server = new JwksServer([first.jwk]);
    const { url } = server;
    await server.stop();
    const poller = await polling.poll(url, { refreshMs: 20 });
    await waitFor("error", () => polling.log.lines.length > 0);
    await Bun.sleep(100);
    expect([polling.levels(), usable(poller), has(poller, first)]).toEqual([["error"], false, false]);
    expect(polling.log.lines[0]?.message).toStartWith("Cannot get the keys of an issuer");
    expect(polling.log.lines[0]?.fields.url).toBe(url);
    await using again = new JwksServer([first.jwk], { port: Number(new URL(url).port) });
    await waitFor("keys", () => usable(poller) && has(poller, first));
    expect(polling.levels()).toEqual(["error", "info"]);
    expect(again.requests.length).toBeGreaterThan(0);
  });

  test("later: the last good keys are used, for as long as keepKeysFor says", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await polling.poll(server.url, { refreshMs: 20 });
    await waitFor("keys", () => usable(poller));
    server.answer = () => new Response("", { status: 503 });
    await waitFor("warning", () => polling.log.lines.length > 0);
    expect([has(poller, first), usable(poller)]).toEqual([true, true]);
    setSystemTime(new Date(poller.usableUntil));
    expect(usable(poller)).toBe(false);
    await waitFor("error", () => polling.log.lines.length > 1);
    expect(polling.levels()).toEqual(["warn", "error"]);
    server.publish([first.jwk]);
    await waitFor("keys", () => usable(poller));
    expect(polling.levels()).toEqual(["warn", "error", "info"]);
  });
});

test("slow: requests wait as long as they may, no longer, and then do without", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = new JwksServer(async () => {
    await promise;
    return Response.json({ keys: [first.jwk] });
  });
  const poller = await polling.poll(server.url, { waitMs: 20 });
  await poller.newer();
  expect(usable(poller)).toBe(false);
  resolve();
  await waitFor("keys", () => usable(poller));
  expect([has(poller, first), server.requests.length]).toEqual([true, 1]);
});

test("a thousand wait at most, the others do without", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = new JwksServer(async () => {
    await promise;
    return Response.json({ keys: [first.jwk] });
  });
  const poller = await polling.poll(server.url);
  const waiting = Array.from({ length: 1000 }, () => poller.newer());
  expect(waiting).not.toContain(undefined);
  expect(poller.newer()).toBeUndefined();
  resolve();
  await Promise.all(waiting);
  expect(has(poller, first)).toBe(true);
});

test("nothing goes on when its instance is closed, and nothing more is logged", async () => {
  const started = Promise.withResolvers<AbortSignal>();
  await using server = new JwksServer((request) => {
    started.resolve(request.signal);
    return new Promise(() => {});
  });
  const poller = await polling.poll(server.url, { refreshMs: 20 });
  const signal = await started.promise;
  polling.end();
  await waitFor("end of the request", () => signal.aborted);
  expect(poller.newer()).toBeUndefined();
  await Bun.sleep(100);
  expect([server.requests.length, polling.levels()]).toEqual([1, []]);
});

test("a query of the URL, which may hold a secret, is not logged", async () => {
  await using server = new JwksServer(() => new Response("", { status: 500 }));
  await (await polling.poll(`${server.url}?key=secret`)).newer();
  expect(JSON.stringify(polling.log.lines)).not.toContain("secret");
  expect(polling.log.lines).toHaveLength(1);
});
