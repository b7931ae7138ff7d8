// Pollers that several instances share, and those that take the place of others.
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { JwksPoller } from "../../examples/policies/jwt-validation/v1.0.0/jwks-poller.ts";
import { sharedPoller } from "../../examples/policies/jwt-validation/v1.0.0/shared-poller.ts";
import { RecordingLogger } from "../../testing/recording-logger.ts";
import { JwksServer } from "../helpers/jwks-server.ts";
import { TestIssuer } from "../helpers/tokens.ts";
import { waitFor } from "../helpers/wait.ts";
import { ALGORITHMS, HOUR, has, Polling, usable } from "./jwt-polling.ts";

let first: TestIssuer;
let polling: Polling;

beforeAll(async () => {
  first = await TestIssuer.create("ES256", "a");
});
beforeEach(() => {
  polling = new Polling();
});
afterEach(() => polling.end());

describe("the process asks an issuer once", () => {
  const share = (url: string, signal: AbortSignal, more: object = {}): Promise<JwksPoller> => {
    const times = { refreshMs: HOUR, keepMs: HOUR, waitMs: 10_000 };
    return sharedPoller({
      url,
      algorithms: ALGORITHMS,
      ...times,
      log: new RecordingLogger(),
      signal,
      ...more,
    });
  };

  test("for all who ask in the same way, until the last of them is gone", async () => {
    await using server = new JwksServer([first.jwk]);
    const lives = Array.from({ length: 100 }, () => new AbortController());
    const pollers = await Promise.all(lives.map(({ signal }) => share(server.url, signal)));
    expect(new Set(pollers).size).toBe(1);
    const [poller] = pollers;
    await poller?.newer();
    expect(server.requests).toHaveLength(1);
    for (const one of lives.slice(1)) one.abort();
    expect(await share(server.url, polling.signal)).toBe(poller!);
    lives[0]?.abort();
    // One is left.
    await poller?.newer();
    expect(server.requests).toHaveLength(2);
    polling.end();
    expect(poller?.newer()).toBeUndefined();
    polling = new Polling();
    expect(await share(server.url, polling.signal)).not.toBe(poller!);
  });

  test("but not for those who ask in another way", async () => {
    await using server = new JwksServer([first.jwk]);
    const made = [
      {},
      { refreshMs: 2 * HOUR },
      { keepMs: 2 * HOUR },
      { algorithms: ["ES256"] },
      { waitMs: 1 },
    ];
    const pollers = await Promise.all(made.map((more) => share(server.url, polling.signal, more)));
    expect(new Set(pollers).size).toBe(made.length);
  });

  test("one that is closed before it is made leaves nothing behind", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await share(server.url, AbortSignal.abort());
    expect(poller.newer()).toBeUndefined();
    expect(await share(server.url, polling.signal)).not.toBe(poller);
  });

  test("lines go to the log of one that is still there", async () => {
    await using server = new JwksServer(() => new Response("", { status: 500 }));
    const gone = new AbortController();
    const earlier = new RecordingLogger();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.answer = async () => {
      await promise;
      return new Response("", { status: 500 });
    };
    await share(server.url, gone.signal, { log: earlier });
    const poller = await share(server.url, polling.signal, { log: polling.log });
    gone.abort();
    resolve();
    await poller.newer();
    expect([earlier.lines.length, polling.levels()]).toEqual([0, ["error"]]);
  });
});

describe("the one that takes its place", () => {
  test("starts with its keys, though the issuer is down", async () => {
    const server = new JwksServer([first.jwk]);
    const { url } = server;
    const before = await polling.poll(url);
    await before.newer();
    await server.stop();
    const after = await polling.poll(url, { previous: before, keepMs: 2 * HOUR });
    expect([has(after, first), after.usableUntil]).toEqual([true, before.usableUntil + HOUR]);
    await waitFor("warning", () => polling.levels().includes("warn"));
    expect(usable(after)).toBe(true);
  });

  test("takes no key of an algorithm that is not accepted any more", async () => {
    await using server = new JwksServer([first.jwk]);
    const before = await polling.poll(server.url);
    await before.newer();
    const after = await polling.poll(server.url, { previous: before, algorithms: ["RS256"] });
    expect([has(after, first), usable(after)]).toEqual([false, false]);
  });
});
