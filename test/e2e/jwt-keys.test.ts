// The keys of an issuer that is slow, down, rotating or not to be trusted, while requests come through Envoy.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import type { PolicySpec } from "../helpers/engine.ts";
import { type ClientRequest, load } from "../helpers/http.ts";
import { JwksServer } from "../helpers/jwks-server.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { inSeconds, TestIssuer } from "../helpers/tokens.ts";
import { type TrustedAuthority, trustedAuthority } from "../helpers/trusted-authority.ts";
import { waitFor } from "../helpers/wait.ts";

type Lines = NonNullable<ClientRequest["headers"]>;

const ISSUER = "https://issuer.example/";

let authority: TrustedAuthority;
let first: TestIssuer;
let second: TestIssuer;

beforeAll(async () => {
  await testEngine();
  authority = await trustedAuthority();
  [first, second] = await Promise.all([TestIssuer.create("ES256", "a"), TestIssuer.create("ES256", "b")]);
}, BUILD_TIMEOUT_MS);

afterAll(() => authority?.remove());

function jwt(jwksUrl: string, more: object = {}): PolicySpec {
  const issuers = [{ issuer: ISSUER, audiences: [], jwksUrl }];
  // A machine under load must not turn a wait that would end well into an answer.
  return { name: "jwt-validation", version: "v1.0.0", parameters: { issuers, keyWait: "8s", ...more } };
}

function start(url: string, more: object = {}): Promise<Stack> {
  return startStack({ routes: [{ route: "a", policies: [jwt(url, more)] }], env: authority.env });
}

async function bearer(issuer: TestIssuer, claims: object = {}): Promise<Lines> {
  const token = await issuer.sign({ iss: ISSUER, exp: inSeconds(300), ...claims });
  return [["authorization", `Bearer ${token}`]];
}

describe("rotating", () => {
  test("tokens of a new key pass at once, and one question is asked for all that come at the same time", async () => {
    await using server = new JwksServer([first.jwk], { tls: true });
    const stack = await start(server.url);
    try {
      expect((await stack.get("/a", await bearer(first))).status).toBe(200);
      server.publish([first.jwk, second.jwk]);
      const tokens = await Promise.all(
        Array.from({ length: 200 }, (_, n) => bearer(second, { jti: String(n) })),
      );
      const seen = new Map<number, number>();
      await load(stack.envoy.port, {
        count: tokens.length,
        connections: 50,
        request: (index) => ({ path: "/a", headers: tokens[index]! }),
        onResponse: ({ status }) => void seen.set(status, (seen.get(status) ?? 0) + 1),
      });
      expect([...seen]).toEqual([[200, 200]]);
      expect(server.requests).toHaveLength(2);
    } finally {
      await stack.stop();
    }
  });

  test("unknown keys ask no more than once in a while, whatever clients send", async () => {
    await using server = new JwksServer([first.jwk], { tls: true });
    const stack = await start(server.url);
    try {
      const good = await bearer(first);
      const forged = await Promise.all(
        Array.from({ length: 100 }, (_, n) =>
          TestIssuer.create("ES256", `made-up-${n}`).then((one) => bearer(one)),
        ),
      );
      const seen = new Set<string>();
      await load(stack.envoy.port, {
        count: 200,
        connections: 20,
        request: (index) => ({ path: "/a", headers: index % 2 === 0 ? good : forged[(index - 1) / 2]! }),
        onResponse: ({ status }, index) => void seen.add(`${index % 2 === 0 ? "good" : "forged"}: ${status}`),
      });
      expect([...seen].sort()).toEqual(["forged: 401", "good: 200"]);
      expect(server.requests).toHaveLength(2);
    } finally {
      await stack.stop();
    }
  });
});

describe("down", () => {
  test("at the start: the engine is ready, says so and answers 503, until keys come", async () => {
    const gone = new JwksServer([first.jwk], { tls: true });
    const { url } = gone;
    await gone.stop();
    const stack = await start(url, { refreshInterval: "10s" });
    try {
      const line = await stack.engine.waitForLog("Cannot get the keys of an issuer");
      expect(line.level).toBe("error");
      expect(JSON.stringify(line)).toContain(url);
      expect((await stack.get("/a", await bearer(first))).status).toBe(503);
      // What needs no key is told apart all the same.
      expect((await stack.get("/a")).status).toBe(401);
      expect(stack.upstream.requests).toEqual([]);
      await using back = new JwksServer([first.jwk], { tls: true, port: Number(new URL(url).port) });
      await waitFor("keys", async () => (await stack.get("/a", await bearer(first))).status === 200);
      await stack.engine.waitForLog("Keys of an issuer are there again");
      expect(back.requests.length).toBeGreaterThan(0);
    } finally {
      await stack.stop();
    }
  });

  test("later: last good keys are used, also by what takes the policy's place after a change", async () => {
    const server = new JwksServer([first.jwk], { tls: true });
    const { url } = server;
    const stack = await start(url);
    try {
      expect((await stack.get("/a", await bearer(first))).status).toBe(200);
      await server.stop();
      const since = stack.engine.logs().length;
      // Other options of the question: nothing but the old instance's keys can answer it.
      const changed = jwt(url, { claimHeaders: { "x-user": "sub" }, refreshInterval: "1h" });
      await stack.engine.writeRoutes([{ route: "a", policies: [changed] }]);
      await stack.engine.waitForLog("applied", since);
      const response = await stack.get("/a", await bearer(first, { sub: "alice" }));
      expect([response.status, response.echo().header("x-user")]).toEqual([200, "alice"]);
      await stack.engine.waitForLog("the last good ones are used", since);
    } finally {
      await stack.stop();
    }
  });
});

test("slow: the first requests wait for the keys, and the load of the route does not", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = new JwksServer(
    async () => {
      await promise;
      return Response.json({ keys: [first.jwk] });
    },
    { tls: true },
  );
  const stack = await start(server.url);
  try {
    const waiting = stack.get("/a", await bearer(first));
    await waitFor("question", () => server.requests.length > 0);
    expect((await stack.get("/a")).status).toBe(401);
    resolve();
    expect((await waiting).status).toBe(200);
  } finally {
    await stack.stop();
  }
});

test("keys from a file, which SIGHUP rereads", async () => {
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-jwks-"));
  const file = join(folder, "jwks.json");
  await Bun.write(file, first.jwks);
  const issuers = [{ issuer: ISSUER, audiences: [], jwks: { fromFile: file } }];
  const policy = { name: "jwt-validation", version: "v1.0.0", parameters: { issuers } };
  const stack = await startStack({ routes: [{ route: "a", policies: [policy] }] });
  const status = async (issuer: TestIssuer) => (await stack.get("/a", await bearer(issuer))).status;
  try {
    expect([await status(first), await status(second)]).toEqual([200, 401]);
    await Bun.write(file, second.jwks);
    stack.engine.signal("SIGHUP");
    await waitFor("second key", async () => (await status(second)) === 200);
    expect(await status(first)).toBe(401);
  } finally {
    await stack.stop();
    await rm(folder, { recursive: true, force: true });
  }
});

test("an authority that is not trusted: no keys, and a log line that says why", async () => {
  await using server = new JwksServer([first.jwk], { tls: true });
  const stack = await startStack({ routes: [{ route: "a", policies: [jwt(server.url)] }] });
  try {
    expect(JSON.stringify(await stack.engine.waitForLog("Cannot get the keys of an issuer"))).toContain(
      "certificate",
    );
    expect((await stack.get("/a", await bearer(first))).status).toBe(503);
    expect(server.requests).toEqual([]);
  } finally {
    await stack.stop();
  }
});
