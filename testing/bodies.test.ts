import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Policy, RequestContext, ResponseContext } from "@policy-engine/sdk";
import { type TestChain, testChain } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testing-bodies-"));
  for (const need of ["none", "buffered", "raw"]) {
    const definition = `name: ${need}\nversion: v1.0.0\nrequiresRequestBody: ${need}\nrequiresResponseBody: ${need}\n`;
    await Bun.write(join(folder, `${need}.yaml`), definition);
  }
});
afterAll(() => rm(folder, { recursive: true }));

type Need = "none" | "buffered" | "raw";

/** A chain of policies, each with how it wants bodies. */
function chainOf(
  links: readonly (readonly [Need, Policy])[],
  onUnbufferable: "deny" | "skip" = "deny",
): Promise<TestChain> {
  return testChain(
    links.map(([need, hooks]) => ({
      policy: () => hooks,
      definition: join(folder, `${need}.yaml`),
      onUnbufferable,
    })),
  );
}

/** Remembers what hooks see of a body. */
function watcher(): { seen: unknown[]; hooks: Policy } {
  const seen: unknown[] = [];
  const see = (ctx: RequestContext | ResponseContext): undefined => void seen.push(ctx.text());
  return { seen, hooks: { onRequest: see, onResponse: see } };
}

describe("a body of a request", () => {
  test("is text, bytes or JSON, with the headers that a client sends with it", async () => {
    const { seen, hooks } = watcher();
    await using chain = await chainOf([["buffered", hooks]]);
    const sent = [
      await chain.request({ method: "POST", body: "grüße" }),
      await chain.request({ method: "POST", body: new Uint8Array([0, 255]) }),
      await chain.request({ method: "POST", body: { a: [1, null] } }),
      await chain.request({
        body: [1],
        headers: { "content-type": "application/a+json", "content-length": "3" },
      }),
      await chain.request({ body: "x", headers: { "transfer-encoding": "chunked" } }),
      await chain.request({ body: "" }),
      await chain.request(),
    ];
    expect(seen).toEqual(["grüße", "\0\ufffd", '{"a":[1,null]}', "[1]", "x", "", ""]);
    expect(sent.map(({ headers }) => [headers.get("content-type"), headers.get("content-length")])).toEqual([
      [undefined, "7"],
      [undefined, "2"],
      ["application/json", "14"],
      ["application/a+json", "3"],
      [undefined, undefined],
      [undefined, "0"],
      [undefined, undefined],
    ]);
    expect(sent.map(({ outcome }) => outcome)).toEqual(sent.map(() => "passed"));
    expect(sent.map(({ changes }) => changes)).toEqual(sent.map(() => ({})));
    expect(sent[1]!.body).toEqual(new Uint8Array([0, 255]));
  });

  test("is null for a policy that does not ask for it, and goes on as it came", async () => {
    const { seen, hooks } = watcher();
    await using chain = await chainOf([["none", hooks]]);
    const exchange = await chain.request({ method: "POST", body: "unseen" });
    expect([seen, exchange.text()]).toEqual([[null], "unseen"]);
    const response = await exchange.response({ body: { also: "unseen" } });
    expect([seen, response.json()]).toEqual([[null, null], { also: "unseen" }]);
  });

  test("FR-020: shows what policies made of it, with its length, in list order", async () => {
    const add =
      (text: string) =>
      (ctx: RequestContext): { body: string; setHeaders: Record<string, string> } => ({
        body: `${ctx.text()}${text}`,
        setHeaders: { [`x-${text}`]: ctx.text()! },
      });
    const header = (): { setHeaders: Record<string, string> } => ({ setHeaders: { "x-first": "1" } });
    await using chain = await chainOf([
      ["none", { onRequest: header }],
      ["buffered", { onRequest: add("b") }],
      ["buffered", { onRequest: async (ctx) => add("c")(ctx) }],
    ]);
    const exchange = await chain.request({ method: "POST", body: "a" });
    expect(exchange.text()).toBe("abc");
    expect(exchange.changes).toEqual({
      "x-first": ["1"],
      "x-b": ["a"],
      "x-c": ["ab"],
      "content-length": ["3"],
    });
    const added = await chain.request();
    expect(added.text()).toBe("bc");
    const emptying: Policy = { onRequest: () => ({ body: null }) };
    await using emptied = await chainOf([["buffered", emptying]]);
    expect((await emptied.request({ body: "abc" })).body).toEqual(new Uint8Array(0));
  });

  test("content-encoding is respected: decoded for buffered, as it came for raw", async () => {
    const coded = new Uint8Array(gzipSync("plain"));
    const headers = { "content-encoding": "gzip" };
    for (const [need, length] of [
      ["buffered", 5],
      ["raw", coded.length],
    ] as const) {
      const lengths: unknown[] = [];
      const see = (ctx: RequestContext): undefined => void lengths.push(ctx.body?.length);
      await using chain = await chainOf([[need, { onRequest: see }]]);
      const exchange = await chain.request({ body: coded, headers });
      expect(lengths).toEqual([length]);
      expect(exchange.changes).toEqual({});
      expect([exchange.body, exchange.text()]).toEqual([coded, "plain"]);
    }
    await using changing = await chainOf([["buffered", { onRequest: () => ({ body: "new" }) }]]);
    const changed = await changing.request({ body: coded, headers });
    expect(changed.changes).toEqual({ "content-encoding": null, "content-length": ["3"] });
    expect(changed.text()).toBe("new");
    const broken = await changing.request({ body: new Uint8Array([1]), headers });
    expect(broken).toMatchObject({ outcome: "failed", answer: { status: 500, reason: "policy_failed" } });
    await expect(changing.request({ body: "text", headers })).rejects.toThrow("bytes that are coded");
  });

  test("a denial at the body, and a client that goes away meanwhile", async () => {
    const never: Policy = { onRequest: () => new Promise<undefined>(() => {}) };
    const { seen, hooks } = watcher();
    await using chain = await chainOf([
      ["buffered", hooks],
      ["buffered", never],
    ]);
    const abort = new AbortController();
    const pending = chain.request({ body: "a", signal: abort.signal });
    abort.abort();
    expect((await pending).outcome).toBe("cancelled");
    expect((await chain.request({ body: "b", signal: abort.signal })).outcome).toBe("cancelled");
    expect(seen).toEqual(["a"]);
  });

  test("cannot be buffered: refused, or the policy is left out", async () => {
    const { seen, hooks } = watcher();
    const grpc = { body: "a", headers: { "content-type": "application/grpc" } };
    await using denying = await chainOf([["buffered", hooks]]);
    expect((await denying.request(grpc)).answer).toMatchObject({ status: 501, reason: "body_unbufferable" });
    await using skipping = await chainOf([["buffered", hooks]], "skip");
    expect((await skipping.request(grpc)).outcome).toBe("passed");
    expect(seen).toEqual([]);
  });
});

describe("a body of a response", () => {
  const shout: Policy = { onResponse: (ctx) => ({ body: ctx.text()?.toUpperCase() ?? null }) };

  test("FR-023: shows what policies made of it", async () => {
    await using chain = await chainOf([["buffered", shout]]);
    const response = await (await chain.request()).response({ body: { a: "b" } });
    expect(response.json()).toEqual({ A: "B" });
    expect(response.text()).toBe('{"A":"B"}');
    expect(response.changes).toEqual({});
    const coded = new Uint8Array(gzipSync("gr\u00fc\u00dfe"));
    const decoded = await (await chain.request()).response({
      body: coded,
      headers: { "content-encoding": "gzip" },
    });
    expect(decoded.text()).toBe("GRÜSSE");
    expect(decoded.changes).toEqual({ "content-encoding": null, "content-length": ["7"] });
  });

  test("edge: HEAD, 204 and 304 have none, whatever a policy returns", async () => {
    await using chain = await chainOf([["buffered", { onResponse: () => ({ body: "added" }) }]]);
    const head = await (await chain.request({ method: "HEAD" })).response({
      headers: { "content-length": "5" },
    });
    expect([head.outcome, head.text(), head.headers.get("content-length")]).toEqual(["passed", "", "5"]);
    for (const status of [204, 304]) {
      const response = await (await chain.request()).response({ status });
      expect([response.status, response.text()]).toEqual([status, ""]);
    }
    const added = await (await chain.request()).response();
    expect(added.text()).toBe("added");
    const emptying: Policy = { onResponse: () => ({ status: 204 }) };
    await using none = await chainOf([["none", emptying]]);
    expect((await (await none.request()).response({ body: "gone" })).text()).toBe("");
  });

  test("an answer in its place has the answer's body", async () => {
    const failing: Policy = {
      onResponse() {
        throw new Error("broken");
      },
    };
    await using chain = await chainOf([["buffered", failing]]);
    const response = await (await chain.request()).response({ body: "secret" });
    expect(response.text()).toStartWith("policy_failed ");
    expect(response.answer?.body).toBe(response.text());
    expect(response.error).toEqual(new Error("broken"));
  });

  test("the request's body stays readable where its policy asked for it, and only there", async () => {
    const seen: unknown[] = [];
    const late: Policy = { onResponse: (ctx) => void seen.push(ctx.request.text()) };
    await using chain = await chainOf([["buffered", { onRequest() {}, ...late }]]);
    await (await chain.request({ body: "kept" })).response();
    await using without = await chainOf([
      ["buffered", { onRequest() {} }],
      ["none", late],
    ]);
    await (await without.request({ body: "dropped" })).response();
    expect(seen).toEqual(["kept", null]);
  });
});
