// An issuer that is slow, down, rotating, lying or huge.
import { afterEach, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import { JwksPoller, type PollerOptions } from "../../examples/policies/jwt-validation/v1.0.0/jwks-poller.ts";
import { sharedPoller } from "../../examples/policies/jwt-validation/v1.0.0/shared-poller.ts";
import { RecordingLogger } from "../../testing/recording-logger.ts";
import { JwksServer } from "../helpers/jwks-server.ts";
import { TestIssuer } from "../helpers/tokens.ts";
import { waitFor } from "../helpers/wait.ts";

const HOUR = 3_600_000;
const ALGORITHMS = ["RS256", "ES256"];

let first: TestIssuer;
let second: TestIssuer;
let life = new AbortController();
let log = new RecordingLogger();

beforeAll(async () => {
  [first, second] = await Promise.all([TestIssuer.create("ES256", "a"), TestIssuer.create("ES256", "b")]);
});
afterEach(() => {
  setSystemTime();
  life.abort();
  life = new AbortController();
  log = new RecordingLogger();
});

function poll(url: string, more: Partial<PollerOptions> = {}): Promise<JwksPoller> {
  const times = { refreshMs: HOUR, keepMs: HOUR, waitMs: 10_000, cooldownMs: HOUR };
  return JwksPoller.start({
    url,
    algorithms: ALGORITHMS,
    ...times,
    logs: [log],
    signal: life.signal,
    ...more,
  });
}

function has(poller: JwksPoller, { kid }: TestIssuer): boolean {
  return poller.find({ alg: "ES256", kid }).length > 0;
}

function usable(poller: JwksPoller): boolean {
  return Date.now() < poller.usableUntil;
}

function levels(): string[] {
  return log.lines.map(({ level }) => level);
}

/** A response whose body never ends. */
function endless(chunk: Uint8Array): Response {
  return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }));
}

test("FR-051: keys are fetched once, and then there for every request", async () => {
  await using server = new JwksServer([first.jwk]);
  const poller = await poll(server.url);
  await poller.newer();
  for (let round = 0; round < 100; round++) expect(has(poller, first)).toBe(true);
  expect([server.requests.length, usable(poller), levels()]).toEqual([1, true, []]);
});

describe("rotating", () => {
  test("a new key is there after the next look, a removed one is not, and its tokens count no more", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await poll(server.url, { refreshMs: 20 });
    await waitFor("first key", () => has(poller, first));
    const [removed] = poller.find({ alg: "ES256", kid: "a" });
    server.publish([second.jwk]);
    await waitFor("second key", () => has(poller, second));
    expect([has(poller, first), removed?.active]).toEqual([false, false]);
  });

  test("a key that stays is the very same, so that its tokens stay known", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await poll(server.url, { refreshMs: 20 });
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
    const poller = await poll(server.url, { refreshMs: 20 });
    await waitFor("first key", () => has(poller, first));
    const [replaced] = poller.find({ alg: "ES256", kid: "a" });
    server.publish([{ ...second.jwk, kid: "a" }]);
    await waitFor("end of the first key", () => !replaced!.active);
    expect(poller.find({ alg: "ES256", kid: "a" })).toHaveLength(1);
  });

  test("an unknown key makes the issuer be asked once for all who wait, and then not again for a while", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await poll(server.url);
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
    const poller = await poll(server.url);
    await poller.newer();
    server.answer = () => new Response("", { status: 500 });
    await poller.newer();
    expect(poller.newer()).toBeUndefined();
    expect([server.requests.length, has(poller, first), usable(poller)]).toEqual([2, true, true]);
  });

  test("but again when the while is over", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await poll(server.url, { cooldownMs: 0 });
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
    const poller = await poll(server.url, { refreshMs: 20 });
    await waitFor("third request", () => server.requests.length >= 3);
    const [request] = server.requests;
    expect(request?.headers.get("if-none-match")).toBeNull();
    expect(server.requests[2]?.headers.get("if-none-match")).toBe('"v1"');
    expect([has(poller, first), usable(poller), levels()]).toEqual([true, true, []]);
  });

  test("a 304 that nobody asked for is no answer", async () => {
    await using server = new JwksServer(() => new Response(null, { status: 304 }));
    const poller = await poll(server.url);
    await poller.newer();
    expect([usable(poller), levels()]).toEqual([false, ["error"]]);
  });

  test("max-age never makes it later than refreshInterval", async () => {
    await using server = new JwksServer(() =>
      Response.json({ keys: [first.jwk] }, { headers: { "cache-control": "public, max-age=999999" } }),
    );
    await poll(server.url, { refreshMs: 20 });
    await waitFor("third request", () => server.requests.length >= 3);
  });
});

describe("down", () => {
  test("at the start: said once, and the keys are there when it comes up", async () => {
    const server = new JwksServer([first.jwk]);
    const { url } = server;
    await server.stop();
    const poller = await poll(url, { refreshMs: 20 });
    await waitFor("error", () => log.lines.length > 0);
    await Bun.sleep(100);
    expect([levels(), usable(poller), has(poller, first)]).toEqual([["error"], false, false]);
    expect(log.lines[0]?.message).toStartWith("Cannot get the keys of an issuer");
    expect(log.lines[0]?.fields.url).toBe(url);
    await using again = new JwksServer([first.jwk], { port: Number(new URL(url).port) });
    await waitFor("keys", () => usable(poller) && has(poller, first));
    expect(levels()).toEqual(["error", "info"]);
    expect(again.requests.length).toBeGreaterThan(0);
  });

  test("later: the last good keys are used, for as long as keepKeysFor says", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await poll(server.url, { refreshMs: 20 });
    await waitFor("keys", () => usable(poller));
    server.answer = () => new Response("", { status: 503 });
    await waitFor("warning", () => log.lines.length > 0);
    expect([has(poller, first), usable(poller)]).toEqual([true, true]);
    setSystemTime(new Date(poller.usableUntil));
    expect(usable(poller)).toBe(false);
    await waitFor("error", () => log.lines.length > 1);
    expect(levels()).toEqual(["warn", "error"]);
    server.publish([first.jwk]);
    await waitFor("keys", () => usable(poller));
    expect(levels()).toEqual(["warn", "error", "info"]);
  });
});

test("slow: requests wait as long as they may, no longer, and then do without", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = new JwksServer(async () => {
    await promise;
    return Response.json({ keys: [first.jwk] });
  });
  const poller = await poll(server.url, { waitMs: 20 });
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
  const poller = await poll(server.url);
  const waiting = Array.from({ length: 1000 }, () => poller.newer());
  expect(waiting).not.toContain(undefined);
  expect(poller.newer()).toBeUndefined();
  resolve();
  await Promise.all(waiting);
  expect(has(poller, first)).toBe(true);
});

describe("lying: the last good keys stay", () => {
  const weak = () => ({ kty: "RSA", kid: "weak", n: "_".repeat(170), e: "AQAB" });
  const answers: [what: string, answer: () => Response, error: string][] = [
    ["HTML", () => new Response("<html>", { headers: { "content-type": "text/html" } }), "it is not JSON"],
    ["HTML that claims to be JSON", () => new Response("<html>", json()), "it is not JSON"],
    ["nothing", () => new Response(""), "it is not JSON"],
    ["null", () => Response.json(null), "it is no JWK Set"],
    ["a list", () => Response.json([first.jwk]), "it is no JWK Set"],
    ["keys that are no list", () => Response.json({ keys: { 0: first.jwk, length: 1 } }), "it is no JWK Set"],
    ["no keys", () => Response.json({ keys: [] }), "none of its 0 keys can be used"],
    ["nonsense", () => Response.json({ keys: [null, 1, "a", [], {}, { kty: 7 }] }), "none of its 6 keys"],
    [
      "another kind of key",
      () => Response.json({ keys: [{ kty: "foo" }, { kty: "EC", crv: "P-1" }] }),
      "none of its 2",
    ],
    ["a secret", () => Response.json({ keys: [{ kty: "oct", k: "A".repeat(64) }] }), "none of its 1 keys"],
    [
      "a key for encryption",
      () => Response.json({ keys: [{ ...second.jwk, use: "enc" }] }),
      "none of its 1 keys",
    ],
    [
      "a key for signing only",
      () => Response.json({ keys: [{ ...second.jwk, key_ops: ["sign"] }] }),
      "none of its 1 keys",
    ],
    [
      "a key for another algorithm",
      () => Response.json({ keys: [{ ...second.jwk, alg: "ES384" }] }),
      "none of its 1 keys",
    ],
    ["half a key", () => Response.json({ keys: [{ ...second.jwk, y: undefined }] }), "none of its 1 keys"],
    [
      "a point that is on no curve",
      () => Response.json({ keys: [{ ...second.jwk, y: "A".repeat(43) }] }),
      "none of its 1",
    ],
    ["a weak key", () => Response.json({ keys: [weak()] }), "none of its 1 keys"],
    [
      "a monstrous key",
      () => Response.json({ keys: [{ ...weak(), n: "_".repeat(100_000) }] }),
      "none of its 1 keys",
    ],
    ["101 keys", () => Response.json({ keys: Array(101).fill(second.jwk) }), "it has 101 keys, at most 100"],
    ["deep nesting", () => new Response("[".repeat(500_000)), "it is not JSON"],
    ["600 KB", () => new Response(" ".repeat(600_000)), "its answer has more than 524288 bytes"],
    [
      "an endless body",
      () => endless(new Uint8Array(65_536).fill(32)),
      "its answer has more than 524288 bytes",
    ],
    ["a bomb", () => new Response(Bun.gzipSync(new Uint8Array(1 << 24)), gzip()), "its answer is compressed"],
    ["404", () => Response.json({ keys: [second.jwk] }, { status: 404 }), "it answered 404, 200 is needed"],
    ["206", () => Response.json({ keys: [second.jwk] }, { status: 206 }), "it answered 206, 200 is needed"],
    ["a redirect", () => Response.redirect("http://127.0.0.1:1/jwks", 302), "it answered 302, 200 is needed"],
  ];
  test.each(answers)("%s", async (_what, answer, error) => {
    await using server = new JwksServer([first.jwk]);
    const poller = await poll(server.url);
    await poller.newer();
    server.answer = answer;
    await poller.newer();
    expect([has(poller, first), has(poller, second), usable(poller)]).toEqual([true, false, true]);
    expect(levels()).toEqual(["warn"]);
    expect(String(log.lines[0]?.fields.error)).toContain(error);
  });

  test("a secret that is published is no secret, though HS256 is accepted", async () => {
    await using server = new JwksServer([{ kty: "oct", k: "A".repeat(64), kid: "s" }, first.jwk]);
    const poller = await poll(server.url, { algorithms: ["HS256", "ES256"] });
    await poller.newer();
    expect([has(poller, first), poller.find({ alg: "HS256", kid: "s" })]).toEqual([true, []]);
  });

  test("a redirect is not followed, wherever it leads", async () => {
    await using trap = new JwksServer([second.jwk]);
    await using server = new JwksServer(() => Response.redirect(trap.url, 307));
    const poller = await poll(server.url);
    await poller.newer();
    expect([trap.requests.length, usable(poller)]).toEqual([0, false]);
  });

  test("the type of the content is not asked, its content is", async () => {
    await using server = new JwksServer(
      () => new Response(first.jwks, { headers: { "content-type": "text/plain" } }),
    );
    const poller = await poll(server.url);
    await poller.newer();
    expect(has(poller, first)).toBe(true);
  });

  test("good keys among bad ones are taken", async () => {
    await using server = new JwksServer([
      {},
      weak(),
      { kty: "oct", k: "A".repeat(64) },
      first.jwk,
      { ...second.jwk, kid: 7 },
    ]);
    const poller = await poll(server.url);
    await poller.newer();
    expect([has(poller, first), poller.find({ alg: "ES256", kid: undefined }).length]).toEqual([true, 1]);
  });

  test("a key twice is one, two keys of one kid are both tried, and never more than four", async () => {
    const others = await Promise.all(Array.from({ length: 5 }, () => TestIssuer.create("ES256", "a")));
    await using server = new JwksServer([first.jwk, first.jwk, second.jwk]);
    const poller = await poll(server.url, { cooldownMs: 0 });
    await poller.newer();
    expect(poller.find({ alg: "ES256", kid: "a" })).toHaveLength(1);
    server.publish([first, others[0]!].map(({ jwk }) => jwk));
    await poller.newer();
    expect(poller.find({ alg: "ES256", kid: "a" })).toHaveLength(2);
    server.publish([first, ...others].map(({ jwk }) => jwk));
    await poller.newer();
    expect(poller.find({ alg: "ES256", kid: "a" })).toHaveLength(4);
    expect(poller.find({ alg: "ES256", kid: undefined })).toHaveLength(4);
  });
});

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
    expect(await share(server.url, life.signal)).toBe(poller!);
    lives[0]?.abort();
    // One is left.
    await poller?.newer();
    expect(server.requests).toHaveLength(2);
    life.abort();
    expect(poller?.newer()).toBeUndefined();
    life = new AbortController();
    expect(await share(server.url, life.signal)).not.toBe(poller!);
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
    const pollers = await Promise.all(made.map((more) => share(server.url, life.signal, more)));
    expect(new Set(pollers).size).toBe(made.length);
  });

  test("one that is closed before it is made leaves nothing behind", async () => {
    await using server = new JwksServer([first.jwk]);
    const poller = await share(server.url, AbortSignal.abort());
    expect(poller.newer()).toBeUndefined();
    expect(await share(server.url, life.signal)).not.toBe(poller);
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
    const poller = await share(server.url, life.signal, { log });
    gone.abort();
    resolve();
    await poller.newer();
    expect([earlier.lines.length, levels()]).toEqual([0, ["error"]]);
  });
});

describe("the one that takes its place", () => {
  test("starts with its keys, though the issuer is down", async () => {
    const server = new JwksServer([first.jwk]);
    const { url } = server;
    const before = await poll(url);
    await before.newer();
    await server.stop();
    const after = await poll(url, { previous: before, keepMs: 2 * HOUR });
    expect([has(after, first), after.usableUntil]).toEqual([true, before.usableUntil + HOUR]);
    await waitFor("warning", () => levels().includes("warn"));
    expect(usable(after)).toBe(true);
  });

  test("takes no key of an algorithm that is not accepted any more", async () => {
    await using server = new JwksServer([first.jwk]);
    const before = await poll(server.url);
    await before.newer();
    const after = await poll(server.url, { previous: before, algorithms: ["RS256"] });
    expect([has(after, first), usable(after)]).toEqual([false, false]);
  });
});

test("nothing goes on when its instance is closed, and nothing more is logged", async () => {
  const started = Promise.withResolvers<AbortSignal>();
  await using server = new JwksServer((request) => {
    started.resolve(request.signal);
    return new Promise(() => {});
  });
  const poller = await poll(server.url, { refreshMs: 20 });
  const signal = await started.promise;
  life.abort();
  await waitFor("end of the request", () => signal.aborted);
  expect(poller.newer()).toBeUndefined();
  await Bun.sleep(100);
  expect([server.requests.length, levels()]).toEqual([1, []]);
});

test("a query of the URL, which may hold a secret, is not logged", async () => {
  await using server = new JwksServer(() => new Response("", { status: 500 }));
  await (await poll(`${server.url}?key=secret`)).newer();
  expect(JSON.stringify(log.lines)).not.toContain("secret");
  expect(log.lines).toHaveLength(1);
});

function json(): { headers: Record<string, string> } {
  return { headers: { "content-type": "application/json" } };
}

function gzip(): { headers: Record<string, string> } {
  return { headers: { "content-encoding": "gzip", "content-type": "application/json" } };
}
