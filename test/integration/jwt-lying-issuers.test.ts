// What an issuer publishes is believed as far as it can be used, and never in the place of what was good.
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { JwksServer } from "../helpers/jwks-server.ts";
import { TestIssuer } from "../helpers/tokens.ts";
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
afterEach(() => polling.end());

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
    const poller = await polling.poll(server.url);
    await poller.newer();
    server.answer = answer;
    await poller.newer();
    expect([has(poller, first), has(poller, second), usable(poller)]).toEqual([true, false, true]);
    expect(polling.levels()).toEqual(["warn"]);
    expect(String(polling.log.lines[0]?.fields.error)).toContain(error);
  });

  test("a secret that is published is no secret, though HS256 is accepted", async () => {
    await using server = new JwksServer([{ kty: "oct", k: "A".repeat(64), kid: "s" }, first.jwk]);
    const poller = await polling.poll(server.url, { algorithms: ["HS256", "ES256"] });
    await poller.newer();
    expect([has(poller, first), poller.find({ alg: "HS256", kid: "s" })]).toEqual([true, []]);
  });

  test("a redirect is not followed, wherever it leads", async () => {
    await using trap = new JwksServer([second.jwk]);
    await using server = new JwksServer(() => Response.redirect(trap.url, 307));
    const poller = await polling.poll(server.url);
    await poller.newer();
    expect([trap.requests.length, usable(poller)]).toEqual([0, false]);
  });

  test("the type of the content is not asked, its content is", async () => {
    await using server = new JwksServer(
      () => new Response(first.jwks, { headers: { "content-type": "text/plain" } }),
    );
    const poller = await polling.poll(server.url);
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
    const poller = await polling.poll(server.url);
    await poller.newer();
    expect([has(poller, first), poller.find({ alg: "ES256", kid: undefined }).length]).toEqual([true, 1]);
  });

  test("a key twice is one, two keys of one kid are both tried, and never more than four", async () => {
    const others = await Promise.all(Array.from({ length: 5 }, () => TestIssuer.create("ES256", "a")));
    await using server = new JwksServer([first.jwk, first.jwk, second.jwk]);
    const poller = await polling.poll(server.url, { cooldownMs: 0 });
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

/** A response whose body never ends. */
function endless(chunk: Uint8Array): Response {
  return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }));
}

function json(): { headers: Record<string, string> } {
  return { headers: { "content-type": "application/json" } };
}

function gzip(): { headers: Record<string, string> } {
  return { headers: { "content-encoding": "gzip", "content-type": "application/json" } };
}
