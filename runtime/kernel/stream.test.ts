import { describe, expect, test } from "bun:test";
import { type Policy, respond } from "@policy-engine/sdk";
import {
  type DrivenStream,
  envoyMessage,
  GET,
  KernelDriver,
  settle,
  testChain,
} from "../../test/helpers/kernel.ts";

const SEND = 1;
const SKIP = 2;
const setter = (name: string, value: string): Policy => ({
  onRequest: () => ({ setHeaders: { [name]: value } }),
});
const both: Policy = {
  onRequest: () => ({ setHeaders: { "x-request": "1" } }),
  onResponse: () => ({ setHeaders: { "x-response": "1" } }),
};

function single(policy: Policy): DrivenStream {
  return new KernelDriver(testChain([{ policy }])).open();
}

describe("phases", () => {
  test("A18.3, A18.4: every message gets one answer of its kind", () => {
    const stream = single(both);
    stream.send("request_headers");
    stream.send("request_body", { body: "x" });
    stream.send("request_trailers");
    expect(stream.answers.map(({ response }) => response.case)).toEqual([
      "requestHeaders",
      "requestBody",
      "requestTrailers",
    ]);
    expect(stream.ended).toBe(false);
    stream.send("response_headers");
    expect(stream.last?.response.case).toBe("responseHeaders");
    expect(stream.ended).toBe(true);
  });

  test("A18.12: the first answer narrows Envoy to what is wanted, every field explicit", () => {
    const stream = single(both).send("request_headers");
    expect(stream.last?.modeOverride).toMatchObject({
      requestHeaderMode: SEND,
      responseHeaderMode: SEND,
      requestBodyMode: 0,
      responseBodyMode: 0,
      requestTrailerMode: SKIP,
      responseTrailerMode: SKIP,
    });
  });

  test("A18.25: the stream ends as soon as no later phase is wanted", () => {
    const requestOnly = single(setter("x", "1")).send("request_headers");
    expect(requestOnly.ended).toBe(true);
    expect(requestOnly.last?.modeOverride?.responseHeaderMode).toBe(SKIP);
    const empty = new KernelDriver(testChain([])).open().send("request_headers");
    expect([empty.ended, empty.last?.response.case, empty.edits]).toEqual([true, "requestHeaders", []]);
  });

  test("A18.15: a response may come first when no step wanted the request", () => {
    const stream = single({
      onResponse: (ctx) => ({ setHeaders: { "x-method": `[${ctx.request.method}]` } }),
    });
    stream.send("response_headers");
    expect(stream.edits).toEqual(["x-method=[]"]);
    expect(stream.ended).toBe(true);
  });

  test("A18.15: a response that comes first is refused when a request step should have run", () => {
    const stream = single(both).send("response_headers");
    expect(stream.denial).toMatchObject({ status: 500, details: "policy_engine:out_of_order" });
    expect(stream.ended).toBe(true);
  });

  test.each(["request_body", "request_trailers"] as const)(
    "%s without headers is refused where steps want them",
    (kind) => {
      expect(single(setter("x", "1")).send(kind).denial?.status).toBe(500);
      const passing = single({ onResponse: () => undefined }).send(kind);
      expect(passing.denial).toBeUndefined();
      expect(passing.ended).toBe(false);
      expect(passing.send("response_headers").ended).toBe(true);
    },
  );

  test.each(["response_body", "response_trailers"] as const)(
    "A18.15: %s before the request steps have run is refused, also without response steps",
    (kind) => {
      const requestOnly = testChain([{ policy: setter("x", "1") }]);
      const first = new KernelDriver(requestOnly).open().send(kind);
      expect(first.denial).toMatchObject({ status: 500, details: "policy_engine:out_of_order" });
      const slow = testChain([{ policy: { onRequest: () => new Promise<never>(() => {}) } }]);
      const running = new KernelDriver(slow).open().send("request_headers").send(kind);
      expect(running.denial).toMatchObject({ status: 500, details: "policy_engine:out_of_order" });
    },
  );

  test("A18.16: directions interleave", async () => {
    const order: string[] = [];
    const stream = single({
      onRequest: () => void order.push("request"),
      onResponse: async () => {
        await Promise.resolve();
        order.push("response");
      },
    });
    stream.send("request_headers").send("response_headers").send("request_body").send("request_trailers");
    await settle();
    expect(order).toEqual(["request", "response"]);
    expect(stream.answers.map(({ response }) => response.case)).toEqual([
      "requestHeaders",
      "requestBody",
      "requestTrailers",
      "responseHeaders",
    ]);
  });

  test("response headers while a request step still runs are refused", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stream = single({ onRequest: () => promise, onResponse: () => undefined });
    stream.send("request_headers").send("response_headers");
    expect(stream.denial?.status).toBe(500);
    resolve();
    await settle();
    expect(stream.answers).toHaveLength(1);
  });

  test("messages that come before their turn wait for it", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stream = single({ onRequest: () => promise, onResponse: () => undefined });
    stream.send("request_headers").send("request_body").send("request_body");
    expect(stream.answers).toHaveLength(0);
    resolve();
    await settle();
    expect(stream.answers.map(({ response }) => response.case)).toEqual([
      "requestHeaders",
      "requestBody",
      "requestBody",
    ]);
  });

  test("limit: more waiting messages than Envoy may send are refused", async () => {
    const stream = single({ onRequest: () => new Promise<void>(() => {}) }).send("request_headers");
    for (let sent = 0; sent < 65; sent++) stream.send("request_body");
    expect(stream.denial?.status).toBe(500);
  });

  test.each([["request_headers"], ["response_headers"]] as const)("%s twice is refused", (kind) => {
    const policy: Policy =
      kind === "request_headers" ? both : { onResponse: () => new Promise<void>(() => {}) };
    expect(single(policy).send(kind).send(kind).denial?.status).toBe(500);
  });

  test("A18.6: nothing is sent after an immediate response", () => {
    const stream = single({ onRequest: () => respond(403, { body: "no" }), onResponse: () => undefined });
    stream.send("request_headers").send("request_body").send("response_headers").send("request_headers");
    expect(stream.answers).toHaveLength(1);
    expect(stream.ended).toBe(true);
  });

  test("the time of an exchange counts its last message", () => {
    const busy = (): void => {
      const until = performance.now() + 2;
      while (performance.now() < until);
    };
    const driver = new KernelDriver(testChain([{ policy: { onRequest: busy } }]));
    driver.open().send("request_headers");
    expect(driver.metrics.requestDuration("test").sum).toBeGreaterThanOrEqual(0.002);
  });

  test("A18.7: cancellation after the last answer is normal", () => {
    const ends: string[] = [];
    const driver = new KernelDriver(
      testChain([{ policy: { onRequest: () => undefined, onEnd: (ctx) => void ends.push(ctx.outcome) } }]),
    );
    const stream = driver.open().send("request_headers");
    stream.incoming.cancel();
    expect(ends).toEqual(["passed"]);
    expect(driver.retained).toBe(0);
    expect(driver.metrics.requests("test", "cancelled").value).toBe(0);
  });

  test("A18.5: under observability mode the chain runs and nothing is sent", () => {
    let ran = 0;
    const stream = single({ onRequest: () => void ran++ });
    stream.send("request_headers", { extra: { observabilityMode: true } });
    expect([ran, stream.answers.length, stream.ended]).toEqual([1, 0, true]);
  });

  test.each([4, 5])("full duplex and gRPC body modes (%d) are refused", (mode) => {
    const stream = single(both);
    stream.send("request_headers", { extra: { protocolConfig: { requestBodyMode: mode } } });
    expect(stream.denial).toMatchObject({ status: 500, details: "policy_engine:unsupported_body_mode" });
  });

  test.each([4, 5])(
    "and so they are where nothing is to be done (%d): Envoy would lose body bytes",
    (mode) => {
      const driver = new KernelDriver({ empty: testChain([]) });
      for (const route of ["empty", "never-configured"]) {
        const stream = driver.open(route);
        stream.send("request_headers", { extra: { protocolConfig: { requestBodyMode: mode } } });
        expect(stream.denial).toMatchObject({ status: 500, details: "policy_engine:unsupported_body_mode" });
      }
      expect(driver.metrics.protocolErrors("unsupported_body_mode").value).toBe(2);
    },
  );

  test("bytes that are no message are refused, and the snapshot is released", () => {
    const driver = new KernelDriver(testChain([{ policy: both }]));
    const stream = driver.open();
    stream.incoming.message(new Uint8Array([0xff, 0xff, 0xff]));
    expect(stream.denial?.details).toBe("policy_engine:internal_error");
    const second = driver.open().send("request_headers");
    second.incoming.message(new Uint8Array([0x12, 0x7f, 0x01]));
    expect(second.denial?.status).toBe(500);
    expect(driver.retained).toBe(0);
  });

  test("a message of an unknown kind is refused", () => {
    const stream = single(both);
    stream.incoming.message(new Uint8Array([0x7a, 0x00]));
    expect(stream.denial?.status).toBe(500);
  });

  test.each([undefined, "abc", "99", "2000"])("response headers with the status %j are refused", (status) => {
    const stream = single(both).send("request_headers");
    const headers = status === undefined ? [] : ([[":status", status]] as const);
    stream.incoming.message(envoyMessage("response_headers", { headers }));
    expect(stream.denial).toMatchObject({ status: 500, details: "policy_engine:out_of_order" });
  });

  test("half-close while a hook runs: the answer still comes, then the stream fails", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stream = single({ onRequest: () => promise, onResponse: () => undefined }).send("request_headers");
    stream.incoming.halfClose();
    expect(stream.ended).toBe(false);
    resolve();
    await settle();
    expect([stream.answers.length, stream.failed]).toEqual([1, true]);
  });

  test("half-close between the phases: the stream fails, as steps have not run", () => {
    const stream = single(both).send("request_headers");
    stream.incoming.halfClose();
    expect([stream.answers.length, stream.failed]).toEqual([1, true]);
  });

  test("cancellation aborts the signal; a late result changes nothing", async () => {
    let aborted = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const ends: string[] = [];
    const driver = new KernelDriver(
      testChain([
        {
          policy: {
            onRequest: (ctx) => {
              ctx.signal.addEventListener("abort", () => {
                aborted = true;
              });
              return promise;
            },
            onEnd: (ctx) => void ends.push(ctx.outcome),
          },
        },
      ]),
    );
    const stream = driver.open().send("request_headers");
    stream.incoming.cancel();
    expect([aborted, ends, driver.retained]).toEqual([true, ["cancelled"], 0]);
    resolve();
    await settle();
    expect(stream.answers).toHaveLength(0);
    expect(driver.metrics.requests("test", "cancelled").value).toBe(1);
  });
});

describe("headers", () => {
  test("A18.1, A18.2: values are read and written as raw_value bytes, append is explicit", () => {
    const bytes = new Uint8Array([0x61, 0xff, 0x00 + 0x80]);
    let seen: readonly Uint8Array[] = [];
    const stream = single({
      onRequest: (ctx) => {
        seen = ctx.headers.getBytes("X-Bin");
        return { appendHeaders: { "x-bin": "b" }, setHeaders: { "x-ü": "never" } };
      },
    });
    stream.send("request_headers", { headers: [...GET, ["x-bin", bytes]] });
    expect(stream.denial?.status).toBe(500);
    expect(seen.map((value) => [...value])).toEqual([[0x61, 0xff, 0x80]]);

    const appending = single({ onRequest: () => ({ appendHeaders: { "x-bin": "b" } }) });
    appending.send("request_headers", { headers: [...GET, ["x-bin", bytes]] });
    expect(appending.edits).toEqual(["x-bin=a\xff\x80", "x-bin+=b"]);
  });

  test("A18.13: reroute clears the route cache, and always with a header mutation", () => {
    const stream = single({ onRequest: () => ({ reroute: true }) }).send("request_headers");
    expect(stream.edits).toEqual([":path=/"]);
    const { response } = stream.last!;
    expect(response.case === "requestHeaders" && response.value.response?.clearRouteCache).toBe(true);
    const quiet = single({ onRequest: () => ({ path: "/b" }) }).send("request_headers");
    const answer = quiet.last!.response;
    expect(answer.case === "requestHeaders" && answer.value.response?.clearRouteCache).toBe(false);
  });

  test("FR-021: path, query, method and authority", () => {
    const changed = (changes: object, path = "/a?x=1") =>
      single({ onRequest: () => changes }).send("request_headers", {
        headers: GET.map(([name, value]) => [name, name === ":path" ? path : value] as const),
      }).edits;
    expect(changed({ path: "/b" })).toEqual([":path=/b?x=1"]);
    expect(changed({ query: "y=2" })).toEqual([":path=/a?y=2"]);
    expect(changed({ query: null })).toEqual([":path=/a"]);
    expect(changed({ path: "/b", query: "" })).toEqual([":path=/b?"]);
    expect(changed({ path: "/a" })).toEqual([]);
    expect(changed({ query: "z" }, "/\xe4")).toEqual([":path=/\xc3\xa4?z"]);
    expect(changed({ method: "POST", authority: "b.test:1" })).toEqual([
      ":method=POST",
      ":authority=b.test:1",
    ]);
  });

  test("FR-024: status", () => {
    const stream = single({ onResponse: () => ({ status: 418 }) })
      .send("request_headers")
      .send("response_headers");
    expect(stream.edits).toEqual([":status=418"]);
  });

  test("FR-024: a status without a body takes the body away, where there is one", () => {
    const replaced = (endOfStream: boolean): unknown => {
      const stream = single({ onResponse: () => ({ status: 204 }) }).send("request_headers");
      const { response } = stream.send("response_headers", { endOfStream }).last ?? {};
      return response?.case === "responseHeaders" && response.value.response?.bodyMutation?.mutation.case;
    };
    expect([replaced(false), replaced(true)]).toEqual(["clearBody", undefined]);
  });

  test("dynamic metadata goes out once, merged by namespace, hostile keys included", () => {
    const driver = new KernelDriver(
      testChain([
        { policy: { onRequest: () => ({ dynamicMetadata: { a: { x: 1 } } }) } },
        {
          policy: { onRequest: () => ({ dynamicMetadata: { a: { y: [true] }, ["__proto__"]: { z: "z" } } }) },
        },
      ]),
    );
    const stream = driver.open().send("request_headers");
    expect(JSON.stringify(stream.dynamicMetadata)).toContain('"a":{"x":1,"y":[true]}');
    expect(({} as Record<string, unknown>).z).toBeUndefined();
  });
});

describe("routing", () => {
  const chain = testChain([{ policy: setter("x-chain", "1") }]);
  const attribute = { attributes: { "envoy.filters.http.ext_proc": { "xds.route_name": "test" } } };

  test("FR-008: gRPC metadata, else the attribute, else configured metadata", () => {
    const driver = new KernelDriver(chain, { routeKey: { metadataNamespace: "ns", metadataKey: "chain" } });
    expect(driver.open("test").send("request_headers").edits).toHaveLength(1);
    expect(driver.open("").send("request_headers", { extra: attribute }).edits).toHaveLength(1);
    expect(driver.open("other").send("request_headers", { extra: attribute }).edits).toHaveLength(0);
    const extra = { metadataContext: { filterMetadata: { ns: { chain: "test" } } } };
    expect(driver.open(null).send("request_headers", { extra }).edits).toHaveLength(1);
  });

  test("state table: not ready, unavailable, unknown, without a key, default route, empty", () => {
    const routes = { test: chain, broken: "unavailable", empty: testChain([], { route: "empty" }) } as const;
    const open = (route: string | null, config = {}) =>
      new KernelDriver(routes, config).open(route).send("request_headers");
    expect(open("test", { ready: false }).denial).toMatchObject({
      status: 503,
      details: "policy_engine:not_ready",
    });
    expect(open("broken").denial).toMatchObject({ status: 503, details: "policy_engine:route_unavailable" });
    expect(open("nobody").denial).toBeUndefined();
    expect(open("nobody", { onUnknownRoute: "deny" }).denial?.details).toBe("policy_engine:unknown_route");
    expect(open(null).denial).toMatchObject({ status: 503, details: "policy_engine:missing_route_key" });
    expect(open(null, { defaultRoute: "test" }).edits).toEqual(["x-chain=1"]);
    expect(open("", { defaultRoute: "tset" }).denial?.details).toBe("policy_engine:missing_route_key");
    expect([open("empty").denial, open("empty").ended]).toEqual([undefined, true]);
  });

  test("engine denials name the reason and an error id, and nothing else", () => {
    const stream = new KernelDriver({ test: "unavailable" }).open().send("request_headers");
    expect(stream.denial?.body).toMatch(/^route_unavailable [0-9a-f]{16}$/);
    expect(stream.edits).toEqual(["content-type=text/plain"]);
  });
});

describe("what is known of a request", () => {
  const clientOf = (extra: object) => {
    let client: unknown;
    const stream = single({
      onRequest: (ctx) => {
        client = [ctx.client, ctx.attributes["source.address"]];
      },
    });
    stream.send("request_headers", { headers: [...GET, ["x-forwarded-for", "1.2.3.4"]], extra });
    return client;
  };
  const source = (address: string) => ({
    attributes: { "envoy.filters.http.ext_proc": { "source.address": address } },
  });

  test("A18.21: an attribute that Envoy does not know or was not told to send is missing, and nothing breaks", () => {
    expect(clientOf({})).toEqual([{ address: "", port: 0 }, undefined]);
  });

  test("A18.23: the client's address is the connection's, never what a header claims", () => {
    expect(clientOf(source("10.0.0.1:4711"))).toEqual([{ address: "10.0.0.1", port: 4711 }, "10.0.0.1:4711"]);
    expect(clientOf(source("[::1]:80"))).toEqual([{ address: "::1", port: 80 }, "[::1]:80"]);
    expect(clientOf(source("/run/a.sock"))).toEqual([{ address: "/run/a.sock", port: 0 }, "/run/a.sock"]);
  });
});
