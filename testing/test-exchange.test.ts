import { describe, expect, test } from "bun:test";
import {
  type EndContext,
  type Policy,
  type RequestContext,
  type RequestResult,
  respond,
} from "@policy-engine/sdk";
import { testChain, testPolicy } from "./index.ts";

/** A policy made of its hooks. */
function policyOf(hooks: Policy): () => Policy {
  return () => hooks;
}

describe("request()", () => {
  test("gives the hook what the test says, and sensible defaults for the rest", async () => {
    const seen: Partial<RequestContext>[] = [];
    const onRequest = ({
      method,
      path,
      rawPath,
      authority,
      scheme,
      client,
      attributes,
      requestId,
      route,
    }: RequestContext) =>
      void seen.push({ method, path, rawPath, authority, scheme, client, attributes, requestId, route });
    await using policy = await testPolicy(policyOf({ onRequest }), { route: "orders" });
    await policy.request({ headers: { "X-Request-Id": "id-1" } });
    await policy.request({
      method: "PUT",
      path: "//a/%7e?b=1",
      authority: "api:8443",
      scheme: "http",
      client: { address: "2001:db8::1", port: 1 },
      attributes: { "source.port": 1 },
      headers: { "x-request-id": "id-2" },
    });
    expect(seen).toEqual([
      {
        method: "GET",
        path: "/",
        rawPath: "/",
        authority: "example.com",
        scheme: "https",
        client: { address: "192.0.2.1", port: 40000 },
        attributes: {},
        requestId: "id-1",
        route: "orders",
      },
      {
        method: "PUT",
        path: "/a/~",
        rawPath: "//a/%7e",
        authority: "api:8443",
        scheme: "http",
        client: { address: "2001:db8::1", port: 1 },
        attributes: { "source.port": 1 },
        requestId: "id-2",
        route: "orders",
      },
    ]);
  });

  test("sends header lines in order, and bytes as they are", async () => {
    let bytes: readonly Uint8Array[] = [];
    const onRequest = (ctx: RequestContext) => {
      bytes = ctx.headers.getBytes("x-raw");
    };
    await using policy = await testPolicy(policyOf({ onRequest }));
    const { headers } = await policy.request({
      headers: { Accept: ["a", "b"], "x-raw": new Uint8Array([0xff]), cookie: ["c=1", "d=2"] },
    });
    expect([...headers.entries()]).toEqual([
      ["accept", "a"],
      ["accept", "b"],
      ["x-raw", "\ufffd"],
      ["cookie", "c=1"],
      ["cookie", "d=2"],
    ]);
    expect(headers.get("cookie")).toBe("c=1; d=2");
    expect(bytes).toEqual([new Uint8Array([0xff])]);
  });

  test("refuses pseudo-headers, which a client cannot send beside the others", async () => {
    await using policy = await testPolicy(policyOf({ onRequest() {} }));
    await expect(policy.request({ headers: { ":path": "/" } })).rejects.toThrow('Cannot send header ":path"');
  });

  test("shows everything a policy can change", async () => {
    const changes: RequestResult = {
      removeHeaders: ["x-gone"],
      setHeaders: { "x-set": ["1", "2"] },
      path: "/new",
      query: "b=2",
      method: "POST",
      authority: "other",
      reroute: true,
      dynamicMetadata: { space: { key: [1] } },
    };
    const onRequest = (ctx: RequestContext) => {
      ctx.metadata.set("seen", true);
      return changes;
    };
    await using policy = await testPolicy(policyOf({ onRequest }));
    const exchange = await policy.request({ path: "/old?a=1", headers: { "x-gone": "1", "x-kept": "2" } });
    expect(exchange).toMatchObject({
      outcome: "passed",
      method: "POST",
      path: "/new?b=2",
      authority: "other",
      scheme: "https",
      reroute: true,
      dynamicMetadata: { space: { key: [1] } },
    });
    expect(exchange.answer).toBeUndefined();
    expect(exchange.error).toBeUndefined();
    expect(exchange.metadata.get("seen")).toBe(true);
    expect(exchange.changes).toEqual({
      "x-gone": null,
      "x-set": ["1", "2"],
      ":path": ["/new?b=2"],
      ":method": ["POST"],
      ":authority": ["other"],
    });
  });

  test("shows no change where a header is set to what it was", async () => {
    await using policy = await testPolicy(policyOf({ onRequest: () => ({ setHeaders: { "x-a": "1" } }) }));
    expect((await policy.request({ headers: { "x-a": "1" } })).changes).toEqual({});
  });

  test("shows a denial, and nothing of what was changed before it", async () => {
    const deny = () =>
      respond(403, { headers: { "x-why": "no" }, body: "denied", reason: "because", grpcStatus: 7 });
    await using chain = await testChain([
      { policy: policyOf({ onRequest: () => ({ setHeaders: { "x-a": "1" } }) }) },
      { policy: policyOf({ onRequest: deny }) },
    ]);
    const exchange = await chain.request();
    expect(exchange.outcome).toBe("denied");
    expect(exchange.changes).toEqual({});
    expect(exchange.answer).toMatchObject({ status: 403, body: "denied", reason: "because", grpcStatus: 7 });
    expect(exchange.answer?.headers.get("x-why")).toBe("no");
    expect((await chain.request({ method: "HEAD" })).answer?.body).toBe("");
  });

  test("shows a fault with what was thrown, and keeps it from the client", async () => {
    const error = new Error("database password is hunter2");
    const hooks = { onRequest: () => Promise.reject(error) };
    await using policy = await testPolicy(policyOf(hooks));
    const exchange = await policy.request();
    expect(exchange.outcome).toBe("failed");
    expect(exchange.error).toBe(error);
    expect(exchange.answer).toMatchObject({ status: 500, reason: "policy_failed" });
    expect(exchange.answer?.body).not.toContain("hunter2");
  });

  test("shows nonsense in a result as a fault", async () => {
    const nonsense = { setHeader: { "x-a": "1" } } as RequestResult;
    await using policy = await testPolicy(policyOf({ onRequest: () => nonsense }));
    const { outcome, error } = await policy.request();
    expect(outcome).toBe("failed");
    expect(String(error)).toContain('unknown property "setHeader"');
  });

  test("keeps exchanges that overlap apart", async () => {
    const gates = new Map<string, PromiseWithResolvers<void>>();
    const onRequest = async (ctx: RequestContext): Promise<RequestResult> => {
      const gate = Promise.withResolvers<void>();
      gates.set(ctx.path, gate);
      ctx.metadata.set("path", ctx.path);
      await gate.promise;
      return { setHeaders: { "x-path": ctx.path } };
    };
    await using policy = await testPolicy(policyOf({ onRequest }));
    const pending = ["/a", "/b"].map((path) => policy.request({ path }));
    gates.get("/b")!.resolve();
    gates.get("/a")!.resolve();
    const exchanges = await Promise.all(pending);
    expect(exchanges.map(({ headers }) => headers.get("x-path"))).toEqual(["/a", "/b"]);
    expect(exchanges.map(({ metadata }) => metadata.get("path"))).toEqual(["/a", "/b"]);
  });
});

describe("response()", () => {
  test("shows what the client gets", async () => {
    const onResponse: Policy["onResponse"] = (ctx) => ({
      status: 201,
      removeHeaders: ["server"],
      setHeaders: { "x-path": ctx.request.path, "x-status": String(ctx.status) },
      dynamicMetadata: { space: { status: ctx.status } },
    });
    await using policy = await testPolicy(policyOf({ onResponse }));
    const exchange = await policy.request({ path: "/orders" });
    const response = await exchange.response({ status: 200, headers: { server: "a", "x-kept": "b" } });
    expect(response).toMatchObject({
      outcome: "passed",
      status: 201,
      changes: { server: null, "x-path": ["/orders"], "x-status": ["200"], ":status": ["201"] },
      dynamicMetadata: { space: { status: 200 } },
    });
    expect(response.headers.get("x-kept")).toBe("b");
    expect(response.headers.has("server")).toBe(false);
  });

  test("leaves what was read of the request as it was", async () => {
    const hooks: Policy = {
      onRequest: (ctx) => void ctx.metadata.set("a", 1),
      onResponse: (ctx) => void ctx.metadata.set("a", 2),
    };
    await using policy = await testPolicy(policyOf(hooks));
    const exchange = await policy.request();
    const response = await exchange.response();
    expect(exchange.metadata.get("a")).toBe(1);
    expect(response.metadata.get("a")).toBe(2);
  });

  test("shows what Envoy is told to keep in each phase by itself", async () => {
    const keep = (phase: string) => () => ({ dynamicMetadata: { space: { [phase]: 1 } } });
    const hooks: Policy = { onRequest: keep("request"), onResponse: keep("response") };
    await using policy = await testPolicy(policyOf(hooks));
    const exchange = await policy.request();
    const response = await exchange.response();
    expect(exchange.dynamicMetadata).toEqual({ space: { request: 1 } });
    expect(response.dynamicMetadata).toEqual({ space: { response: 1 } });
  });

  test("shows an answer in the place of the upstream's", async () => {
    await using policy = await testPolicy(
      policyOf({ onResponse: () => respond(502, { body: "bad upstream" }) }),
    );
    const response = await (await policy.request()).response({ headers: { server: "a" } });
    expect(response).toMatchObject({ outcome: "denied", status: 502, changes: {} });
    expect(response.answer).toMatchObject({ status: 502, body: "bad upstream", reason: "denied" });
    expect([...response.headers.entries()]).toEqual([["content-type", "text/plain"]]);
  });

  test("passes the response on when no policy looks at it", async () => {
    await using policy = await testPolicy(policyOf({ onRequest() {} }));
    const response = await (await policy.request()).response({ status: 404, headers: { "x-a": "1" } });
    expect(response).toMatchObject({ outcome: "passed", status: 404, changes: {} });
    expect(response.headers.get("x-a")).toBe("1");
  });

  test("cannot follow a denial, a cancellation, or another response", async () => {
    const hooks: Policy = {
      onRequest: (ctx) => (ctx.path === "/no" ? respond(403) : undefined),
      onResponse() {},
    };
    await using policy = await testPolicy(policyOf(hooks));
    const denied = await policy.request({ path: "/no" });
    await expect(denied.response()).rejects.toThrow("the request was denied");
    const cancelled = await policy.request();
    cancelled.cancel();
    await expect(cancelled.response()).rejects.toThrow("the exchange was cancelled");
    const twice = await policy.request();
    await twice.response();
    await expect(twice.response()).rejects.toThrow("it has run");
  });
});

describe("onEnd", () => {
  /** A policy that does as the path says, and notes how exchanges end. */
  function watching(): { ends: string[]; policy: () => Policy } {
    const ends: string[] = [];
    const onEnd = ({ outcome, reason }: EndContext) => void ends.push(`${outcome} ${reason}`.trim());
    const onRequest = (ctx: RequestContext): RequestResult | Promise<RequestResult> => {
      if (ctx.path === "/denied") return respond(403, { reason: "no" });
      if (ctx.path === "/failed") throw new Error("broken");
      if (ctx.path !== "/waits") return undefined;
      return new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve(undefined)));
    };
    return { ends, policy: policyOf({ onRequest, onResponse() {}, onEnd }) };
  }

  test("hears of every way in which an exchange ends, once", async () => {
    const { ends, policy } = watching();
    await using chain = await testPolicy(policy);
    const passed = await chain.request();
    expect(ends).toEqual([]);
    await passed.response();
    passed.cancel();
    await chain.request({ path: "/denied" });
    await chain.request({ path: "/failed" });
    (await chain.request()).cancel();
    expect(ends).toEqual(["passed", "denied no", "failed policy_failed", "cancelled"]);
  });

  test("hears of what close() ended", async () => {
    const { ends, policy } = watching();
    const chain = await testPolicy(policy);
    await chain.request();
    await (await chain.request()).response();
    await chain.close();
    expect(ends).toEqual(["passed", "cancelled"]);
  });

  test("an aborted signal is a client that goes away while a hook waits", async () => {
    const { ends, policy } = watching();
    await using chain = await testPolicy(policy);
    const controller = new AbortController();
    const pending = chain.request({ path: "/waits", signal: controller.signal });
    controller.abort();
    const exchange = await pending;
    expect(exchange.outcome).toBe("cancelled");
    expect(exchange.answer).toBeUndefined();
    expect(ends).toEqual(["cancelled"]);
  });

  test("a client that was gone before starts no hook", async () => {
    const { ends, policy } = watching();
    await using chain = await testPolicy(policy);
    expect((await chain.request({ signal: AbortSignal.abort() })).outcome).toBe("cancelled");
    const exchange = await chain.request();
    expect((await exchange.response({ signal: AbortSignal.abort() })).outcome).toBe("cancelled");
    expect(ends).toEqual(["cancelled"]);
  });
});
