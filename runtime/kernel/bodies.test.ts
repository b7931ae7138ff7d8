// Bodies, in list order: asked for when the next step needs one, resumed by the body or by the trailers that come
// in its place.
import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { type Policy, respond } from "@policy-engine/sdk";
import {
  type DrivenStream,
  GET,
  KernelDriver,
  settle,
  type TestStep,
  testChain,
} from "../../test/helpers/kernel.ts";
import { createLogger } from "../observability/log.ts";

type Pairs = readonly (readonly [string, string])[];

const PLAIN = GET as Pairs;
const POST: Pairs = [[":method", "POST"], ...PLAIN.slice(1), ["content-length", "5"], ["x-in", "1"]];
const NONE = 0;
const STREAMED = 1;
const BUFFERED = 2;
const BUFFERED_PARTIAL = 3;
const WHOLE: { protocolConfig: object } = {
  protocolConfig: { requestBodyMode: BUFFERED, responseBodyMode: BUFFERED },
};

function open(steps: readonly TestStep[], options: ConstructorParameters<typeof KernelDriver>[1] = {}) {
  const driver = new KernelDriver(testChain(steps), options);
  return { driver, stream: driver.open() };
}

function post(stream: DrivenStream, headers = POST): DrivenStream {
  return stream.send("request_headers", { headers, extra: WHOLE });
}

/** The body that the last answer puts in place; undefined when it leaves it. */
function newBody(stream: DrivenStream): string | undefined {
  const { response } = stream.last!;
  const value = response.value as {
    response?: { bodyMutation?: { mutation: { case: string; value: unknown } } };
  };
  const mutation = value.response?.bodyMutation?.mutation;
  if (mutation === undefined) return undefined;
  return mutation.case === "clearBody" ? "" : Buffer.from(mutation.value as Uint8Array).toString();
}

const reader = (seen: string[]): TestStep => ({
  requestBody: "buffered",
  policy: { onRequest: (ctx) => void seen.push(ctx.text() ?? "null") },
});
const header = (name: string): TestStep => ({
  policy: { onRequest: () => ({ setHeaders: { [name]: "1" } }) },
});

describe("suspend and resume", () => {
  test("FR-025, FR-028: the first answer carries the changes so far and asks for body and trailers", () => {
    const { stream } = open([header("x-a"), reader([]), header("x-b")]);
    post(stream);
    expect(stream.edits).toEqual(["x-a=1"]);
    expect(stream.last?.modeOverride).toMatchObject({
      requestBodyMode: BUFFERED,
      requestTrailerMode: 1,
      responseHeaderMode: 2,
    });
    expect(stream.ended).toBe(false);
  });

  test("FR-004, FR-020: steps after the body run after it, their changes apply together", () => {
    const seen: string[] = [];
    const upper: TestStep = {
      requestBody: "buffered",
      policy: { onRequest: (ctx) => ({ body: `${ctx.text()!.toUpperCase()}!`, path: "/b", method: "PUT" }) },
    };
    const { stream } = open([header("x-a"), upper, reader(seen), header("x-b")]);
    post(stream).send("request_body", { body: "hello", endOfStream: true });
    expect(seen).toEqual(["HELLO!"]);
    expect(newBody(stream)).toBe("HELLO!");
    expect(stream.edits).toEqual(["content-length=6", "x-b=1", ":method=PUT", ":path=/b"]);
    expect(stream.ended).toBe(true);
  });

  test("US6.1, FR-027: no step needs a body: none is asked for", () => {
    const { stream } = open([header("x-a")]);
    post(stream);
    expect(stream.last?.modeOverride).toMatchObject({ requestBodyMode: NONE, responseBodyMode: NONE });
  });

  test("US6.3: the response's body is asked for in the answer to its headers", () => {
    const step: TestStep = {
      responseBody: "buffered",
      policy: { onResponse: (ctx) => ({ body: `${ctx.text()}2`, status: 201 }) },
    };
    const { stream } = open([step]);
    post(stream);
    expect(stream.last?.modeOverride).toMatchObject({
      requestBodyMode: NONE,
      responseBodyMode: NONE,
      responseHeaderMode: 1,
    });
    stream.send("response_headers", {
      headers: [
        [":status", "200"],
        ["content-length", "1"],
      ],
    });
    expect(stream.last?.modeOverride).toMatchObject({ responseBodyMode: BUFFERED, responseTrailerMode: 1 });
    stream.send("response_body", { body: "1", endOfStream: true });
    expect([newBody(stream), stream.edits, stream.ended]).toEqual([
      "12",
      ["content-length=2", ":status=201"],
      true,
    ]);
  });

  test("a request without a body runs at once, with an empty one", () => {
    const seen: string[] = [];
    const { stream } = open([reader(seen)]);
    stream.send("request_headers", { headers: POST, endOfStream: true });
    expect([seen, stream.ended]).toEqual([[""], true]);
  });

  test("a denial before the body asks for none; one at the body is an immediate response", () => {
    const deny: TestStep = { policy: { onRequest: () => respond(403) } };
    expect(post(open([deny, reader([])]).stream).denial?.status).toBe(403);
    const atBody: TestStep = {
      requestBody: "buffered",
      policy: { onRequest: (ctx) => (ctx.text() === "hello" ? respond(400) : undefined) },
    };
    const { stream } = open([atBody, header("x-a")]);
    post(stream).send("request_body", { body: "hello", endOfStream: true });
    expect([stream.denial?.status, stream.ended, stream.stray]).toEqual([400, true, 0]);
  });

  test("asynchronous steps before, at and after the body keep the order", async () => {
    const order: string[] = [];
    const slow = (name: string, requestBody: "none" | "buffered"): TestStep => ({
      requestBody,
      policy: {
        onRequest: async () => {
          await Promise.resolve();
          order.push(name);
        },
      },
    });
    const { stream } = open([
      slow("a", "none"),
      slow("b", "buffered"),
      slow("c", "none"),
      slow("d", "buffered"),
    ]);
    post(stream);
    await settle();
    expect(order).toEqual(["a"]);
    stream.send("request_body", { body: "hello", endOfStream: true });
    await settle();
    expect([order, stream.ended]).toEqual([["a", "b", "c", "d"], true]);
  });
});

describe("no bypass", () => {
  test("edge: HEADERS and TRAILERS without DATA resume with an empty body", () => {
    const seen: string[] = [];
    const { stream } = open([reader(seen)]);
    post(stream).send("request_trailers");
    expect([seen, stream.last?.response.case, stream.ended]).toEqual([[""], "requestTrailers", true]);
  });

  test("edge: a change that is too late at the trailers is refused: 400, and 502 in the response", () => {
    const { stream } = open([reader([]), header("x-a")]);
    post(stream).send("request_trailers");
    expect(stream.denial).toMatchObject({ status: 400, details: "policy_engine:change_too_late" });
    const response = open([
      { responseBody: "buffered", policy: { onResponse: () => ({ body: "x" }) } },
    ]).stream;
    post(response).send("response_headers").send("response_trailers");
    expect(response.denial?.status).toBe(502);
  });

  test("edge: a body that ends in trailers is whole; a second one is refused", () => {
    const seen: string[] = [];
    const ok = open([reader(seen), { policy: { onResponse: () => undefined } }]).stream;
    post(ok).send("request_body", { body: "hello" }).send("request_trailers");
    expect([seen, ok.denial]).toEqual([["hello"], undefined]);
    const twice = open([reader(seen), { policy: { onResponse: () => undefined } }]).stream;
    post(twice).send("request_body", { body: "he" }).send("request_body", { body: "llo", endOfStream: true });
    expect(twice.denial?.status).toBe(500);
  });

  test("edge: where bodies come in part and overrides are forbidden, a part is refused", () => {
    const seen: string[] = [];
    const partial: { protocolConfig: object } = { protocolConfig: { requestBodyMode: BUFFERED_PARTIAL } };
    const { stream } = open([reader(seen)]);
    stream.send("request_headers", { headers: POST, extra: partial }).send("request_body", { body: "he" });
    expect([seen, stream.denial?.details]).toEqual([[], "policy_engine:unsupported_body_mode"]);
    const whole = open([reader(seen)]).stream;
    whole.send("request_headers", { headers: POST, extra: partial });
    whole.send("request_body", { body: "hello", endOfStream: true });
    expect([seen, whole.denial]).toEqual([["hello"], undefined]);
  });

  test("edge: where bodies stream, a step that needs one is refused: the headers would be gone if Envoy may not obey", () => {
    const seen: string[] = [];
    const streamed: { protocolConfig: object } = {
      protocolConfig: { requestBodyMode: STREAMED, responseBodyMode: STREAMED },
    };
    const request = open([reader(seen)]).stream;
    request.send("request_headers", { headers: POST, extra: streamed });
    expect([seen, request.denial?.details]).toEqual([[], "policy_engine:unsupported_body_mode"]);
    const response = open([{ responseBody: "buffered", policy: { onResponse: () => undefined } }]).stream;
    response.send("request_headers", { headers: POST, extra: streamed }).send("response_headers");
    expect(response.denial).toMatchObject({ status: 500, details: "policy_engine:unsupported_body_mode" });
    const none = open([reader(seen), header("x-a")]).stream;
    none.send("request_headers", { headers: GET, extra: streamed, endOfStream: true });
    expect([seen, none.edits]).toEqual([[""], ["x-a=1"]]);
  });

  test("edge: a body after headers that were said to be all is refused where a step looked at none", () => {
    const seen: string[] = [];
    const asks: TestStep = { policy: { onResponse: () => undefined } };
    const { stream } = open([reader(seen), asks]);
    stream.send("request_headers", { headers: GET, endOfStream: true, extra: WHOLE });
    stream.send("request_body", { body: "late", endOfStream: true });
    expect([seen, stream.denial?.details]).toEqual([[""], "policy_engine:out_of_order"]);
    const unread = open([asks]).stream;
    unread
      .send("request_headers", { headers: GET, endOfStream: true })
      .send("request_body", { body: "late" });
    expect([unread.denial, unread.last?.response.case]).toEqual([undefined, "requestBody"]);
  });

  test("edge: response headers while the request waits for its body are refused", () => {
    const { stream } = open([reader([])]);
    post(stream).send("response_headers");
    expect(stream.denial?.status).toBe(500);
  });

  test("edge: half-close while a step waits for a body fails the stream", () => {
    const { stream } = open([reader([])]);
    post(stream).incoming.halfClose();
    expect([stream.failed, stream.ended]).toEqual([true, false]);
  });
});

describe("no corruption", () => {
  const adds: TestStep = { responseBody: "buffered", policy: { onResponse: () => ({ body: "added" }) } };

  test.each(["204", "304"])("edge: a %s gets no body", (status) => {
    const { stream } = open([adds]);
    post(stream).send("response_headers", { headers: [[":status", status]], endOfStream: true });
    expect([newBody(stream), stream.ended]).toEqual([undefined, true]);
  });

  test("edge: a response to HEAD gets no body and keeps its length", () => {
    const { stream } = open([adds]);
    stream.send("request_headers", { headers: [[":method", "HEAD"], ...PLAIN.slice(1)], endOfStream: true });
    stream.send("response_headers", {
      headers: [
        [":status", "200"],
        ["content-length", "9"],
      ],
      endOfStream: true,
    });
    expect([newBody(stream), stream.edits]).toEqual([undefined, []]);
  });

  test("edge: a body where there was none replaces, without a length", () => {
    const { stream } = open([{ requestBody: "buffered", policy: { onRequest: () => ({ body: "new" }) } }]);
    stream.send("request_headers", { headers: [...PLAIN, ["content-length", "0"]], endOfStream: true });
    expect([newBody(stream), stream.edits]).toEqual(["new", ["-content-length"]]);
    const { response } = stream.last!;
    expect(response.case === "requestHeaders" && response.value.response?.status).toBe(1);
  });

  test("edge: nothing in the place of nothing changes nothing, whether or not trailers come", () => {
    const empties: TestStep = { requestBody: "buffered", policy: { onRequest: () => ({ body: null }) } };
    const bare = open([empties]).stream;
    bare.send("request_headers", { headers: [...PLAIN, ["content-length", "0"]], endOfStream: true });
    expect([newBody(bare), bare.edits]).toEqual([undefined, []]);
    const trailed = post(open([empties]).stream, [[":method", "POST"], ...PLAIN.slice(1)]);
    trailed.send("request_trailers");
    expect([trailed.denial, trailed.ended]).toEqual([undefined, true]);
  });

  test("edge: an emptied body has the length 0; a chunked one has none", () => {
    const empties: TestStep = { requestBody: "buffered", policy: { onRequest: () => ({ body: null }) } };
    const sized = post(open([empties]).stream).send("request_body", { body: "hello", endOfStream: true });
    expect([newBody(sized), sized.edits]).toEqual(["", ["content-length=0"]]);
    const chunked = post(open([empties]).stream, [[":method", "POST"], ...PLAIN.slice(1)]);
    chunked.send("request_body", { body: "hello", endOfStream: true });
    expect([newBody(chunked), chunked.edits]).toEqual(["", []]);
  });

  test("edge: a status of ours that takes the body away comes before a body step", () => {
    const seen: string[] = [];
    const gone: TestStep = { policy: { onResponse: () => ({ status: 204 }) } };
    const looks: TestStep = {
      responseBody: "buffered",
      policy: { onResponse: (ctx) => void seen.push(ctx.text()!) },
    };
    const { stream } = open([gone, looks]);
    post(stream).send("response_headers", {
      headers: [
        [":status", "200"],
        ["content-length", "5"],
      ],
    });
    expect([seen, newBody(stream), stream.ended]).toEqual([[""], "", true]);
  });

  test("bytes of any kind pass a step that only reads", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    let seen: Uint8Array | null = null;
    const step: TestStep = {
      requestBody: "raw",
      policy: {
        onRequest: (ctx) => {
          seen = ctx.body;
        },
      },
    };
    const { stream } = open([step]);
    post(stream).send("request_body", { body: bytes, endOfStream: true });
    expect(Buffer.from(seen!).equals(Buffer.from(bytes))).toBe(true);
    expect(newBody(stream)).toBeUndefined();
  });
});

describe("bodies that never come", () => {
  const upgrade: Pairs = [...PLAIN, ["upgrade", "websocket"]];

  const unbufferable: [string, Pairs][] = [
    ["an upgrade", upgrade],
    [
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "a:1"],
      ],
    ],
    ["gRPC", [...POST, ["content-type", "application/grpc+proto"]]],
  ];

  test.each(unbufferable)("edge: %s is refused with 501, or the step is left out", (_, headers) => {
    expect(post(open([reader([])]).stream, headers).denial).toMatchObject({
      status: 501,
      details: "policy_engine:body_unbufferable",
    });
    const seen: string[] = [];
    const { stream } = open([{ ...reader(seen), onUnbufferable: "skip" }, header("x-a")]);
    post(stream, headers);
    expect([seen, stream.edits]).toEqual([[], ["x-a=1"]]);
  });

  test.each([
    [[":status", "101"]],
    [
      [":status", "200"],
      ["content-type", "text/event-stream; charset=utf-8"],
    ],
    [
      [":status", "200"],
      ["content-type", "application/grpc"],
    ],
  ] as Pairs[])("edge: a response of %j is refused with 502, or the step is left out", (...headers) => {
    const step: TestStep = { responseBody: "buffered", policy: { onResponse: () => ({ body: "x" }) } };
    expect(post(open([step]).stream).send("response_headers", { headers }).denial?.status).toBe(502);
    const { stream } = open([{ ...step, onUnbufferable: "skip" }]);
    post(stream).send("response_headers", { headers });
    expect([stream.denial, newBody(stream)]).toEqual([undefined, undefined]);
  });

  test("FR-003: every policy that applies to denials sees a body refused, also behind one that takes its time", async () => {
    const dresses = (name: string): TestStep => ({
      appliesToDenials: true,
      responseBody: "buffered",
      policy: { onResponse: async (ctx) => (ctx.denied ? { setHeaders: { [name]: "1" } } : undefined) },
    });
    const { stream } = open([dresses("x-a"), dresses("x-b"), dresses("x-c")]);
    post(stream).send("response_headers", {
      headers: [
        [":status", "200"],
        ["content-type", "text/event-stream"],
      ],
    });
    await settle();
    expect(stream.denial?.status).toBe(502);
    expect(stream.edits).toEqual(["content-type=text/plain", "x-a=1", "x-b=1", "x-c=1"]);
  });

  test("FR-003: and one that cannot be decoded", () => {
    const dresses: TestStep = {
      appliesToDenials: true,
      responseBody: "buffered",
      policy: { onResponse: () => ({ setHeaders: { "x-a": "1" } }) },
    };
    const { stream } = open([dresses], { bodyBytes: 100_000 });
    post(stream).send("response_headers", {
      headers: [
        [":status", "200"],
        ["content-encoding", "gzip"],
      ],
    });
    stream.send("response_body", { body: gzipSync(Buffer.alloc(200_000)), endOfStream: true });
    expect([stream.denial?.status, stream.edits]).toEqual([502, ["content-type=text/plain", "x-a=1"]]);
  });

  test("limits.bodyWait is not told of an exchange that was refused before, whose denial takes its time", async () => {
    const lines: string[] = [];
    const log = createLogger({ level: "warn", format: "json", write: (line) => void lines.push(line) });
    const gate = Promise.withResolvers<void>();
    const slow: TestStep = { appliesToDenials: true, policy: { onResponse: () => gate.promise } };
    const { stream } = open([reader([]), slow], { bodyWaitMs: 1, log });
    post(stream).send("response_headers");
    await Bun.sleep(20);
    gate.resolve();
    await settle();
    expect(stream.denial?.details).toBe("policy_engine:out_of_order");
    expect(lines).toHaveLength(1);
  });

  test("edge: a hook that outlives its exchange does not keep the bodies, which are no longer counted", async () => {
    const contexts: { readonly body: Uint8Array | null }[] = [];
    const hang: TestStep = {
      ...{ requestBody: "buffered", responseBody: "buffered" },
      policy: {
        onRequest: (ctx) => void contexts.push(ctx),
        onResponse: (ctx) => {
          contexts.push(ctx);
          return new Promise<undefined>(() => {});
        },
      },
    };
    const { stream, driver } = open([hang]);
    post(stream).send("request_body", { body: "12345", endOfStream: true }).send("response_headers");
    stream.send("response_body", { body: "67890", endOfStream: true });
    expect([contexts.map(({ body }) => body?.length), driver.memory.used]).toEqual([[5, 5], 10]);
    stream.incoming.cancel();
    expect([contexts.map(({ body }) => body?.length), driver.memory.used]).toEqual([[0, 0], 0]);
  });

  test("limits.bodyWait: an answer comes by itself, 408 or 504", async () => {
    const { stream, driver } = open([reader([])], { bodyWaitMs: 1 });
    post(stream);
    await Bun.sleep(20);
    expect(stream.denial).toMatchObject({ status: 408, details: "policy_engine:body_timeout" });
    const response = open([{ responseBody: "buffered", policy: { onResponse: () => undefined } }], {
      bodyWaitMs: 1,
    }).stream;
    post(response).send("response_headers");
    await Bun.sleep(20);
    expect([response.denial?.status, driver.retained]).toEqual([504, 0]);
  });
});

describe("limits", () => {
  test("edge: body size limit: by its length before it is sent, and by its bytes", () => {
    const early = open([reader([])], { bodyBytes: 4 }).stream;
    expect(post(early).denial).toMatchObject({ status: 413, details: "policy_engine:body_too_large" });
    const chunked = open([reader([])], { bodyBytes: 4 }).stream;
    post(chunked, PLAIN).send("request_body", { body: "hello", endOfStream: true });
    expect(chunked.denial?.status).toBe(413);
    const response = open([{ responseBody: "buffered", policy: { onResponse: () => undefined } }], {
      bodyBytes: 4,
    }).stream;
    post(response).send("response_headers").send("response_body", { body: "hello", endOfStream: true });
    expect(response.denial?.status).toBe(502);
  });

  test("limits.bodyMemory: the surplus is refused with 503, and all of it is given back", async () => {
    const step: TestStep = {
      requestBody: "buffered",
      policy: { onRequest: () => new Promise<void>(() => {}) },
    };
    const driver = new KernelDriver(testChain([step]), { bodyMemory: 12 });
    const streams = [1, 2, 3].map(() =>
      post(driver.open()).send("request_body", { body: "hello", endOfStream: true }),
    );
    expect(streams.map((stream) => stream.denial?.status)).toEqual([undefined, undefined, 503]);
    expect(driver.memory.used).toBe(10);
    for (const stream of streams) stream.incoming.cancel();
    expect(driver.memory.used).toBe(0);
  });
});

describe("encodings", () => {
  const packed = gzipSync("hello");
  const headers: Pairs = [...POST, ["content-encoding", "gzip"]];

  test("a step reads the body decoded; unchanged, it passes as it came", () => {
    const seen: string[] = [];
    const { stream, driver } = open([reader(seen)]);
    post(stream, headers).send("request_body", { body: packed, endOfStream: true });
    expect([seen, newBody(stream), stream.edits, driver.memory.used]).toEqual([["hello"], undefined, [], 0]);
  });

  test("limits.bodyMemory: a decoded body is counted once, however many steps read it", async () => {
    const waits: TestStep = { policy: { onRequest: () => new Promise<void>(() => {}) } };
    const { stream, driver } = open([reader([]), reader([]), reader([]), waits]);
    post(stream, headers).send("request_body", { body: packed, endOfStream: true });
    expect(driver.memory.used).toBe(packed.length + "hello".length);
    stream.incoming.cancel();
    expect(driver.memory.used).toBe(0);
  });

  test("a changed body is plain, and says so", () => {
    const { stream } = open([
      { requestBody: "buffered", policy: { onRequest: (ctx) => ({ body: `${ctx.text()}!` }) } },
    ]);
    post(stream, headers).send("request_body", { body: packed, endOfStream: true });
    expect([newBody(stream), stream.edits]).toEqual(["hello!", ["-content-encoding", "content-length=6"]]);
  });

  test("raw asks for the bytes as they are", () => {
    let seen = 0;
    const step: TestStep = {
      requestBody: "raw",
      policy: {
        onRequest: (ctx) => {
          seen = ctx.body!.length;
        },
      },
    };
    post(open([step]).stream, headers).send("request_body", { body: packed, endOfStream: true });
    expect(seen).toBe(packed.length);
  });

  test("broken or unknown encodings fail the policy; too much is 413", () => {
    const broken = post(open([reader([])]).stream, headers).send("request_body", {
      body: "hello",
      endOfStream: true,
    });
    expect(broken.denial).toMatchObject({ status: 500 });
    const unknown = post(open([reader([])]).stream, [...POST, ["content-encoding", "zip"]] as [
      string,
      string,
    ][]);
    expect(unknown.send("request_body", { body: "x", endOfStream: true }).denial?.status).toBe(500);
    const bomb = open([reader([])], { bodyBytes: 100_000 }).stream;
    post(bomb, headers).send("request_body", { body: gzipSync(Buffer.alloc(200_000)), endOfStream: true });
    expect(bomb.denial?.status).toBe(413);
  });
});

describe("convenience", () => {
  test("json() is parsed once and shared; broken JSON fails the policy", () => {
    const values: unknown[] = [];
    const policy: Policy = { onRequest: (ctx) => void values.push(ctx.json(), ctx.json()) };
    const steps: TestStep[] = [{ requestBody: "buffered", policy }];
    post(open(steps).stream).send("request_body", { body: '{"a":[1]}', endOfStream: true });
    expect(values).toEqual([{ a: [1] }, { a: [1] }]);
    expect(values[0]).toBe(values[1]);
    const broken = post(open(steps).stream).send("request_body", { body: "{", endOfStream: true });
    expect(broken.denial?.status).toBe(500);
  });

  test("a policy that did not ask for the body has none, and may not change it", () => {
    let seen: unknown;
    const nosy: TestStep = {
      policy: {
        onRequest: (ctx) => {
          seen = [ctx.body, ctx.text(), ctx.json()];
        },
      },
    };
    post(open([reader([]), nosy]).stream).send("request_body", { body: "hello", endOfStream: true });
    expect(seen).toEqual([null, null, null]);
    expect(post(open([{ policy: { onRequest: () => ({ body: "x" }) } }]).stream).denial?.status).toBe(500);
  });
});
