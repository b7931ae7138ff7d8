import { describe, expect, test } from "bun:test";
import type { RequestChanges, ResponseChanges } from "@policy-engine/sdk";
import { applyRequestChanges, applyResponseChanges } from "./changes.ts";
import { headerList } from "./header-list.ts";
import { type DynamicMetadata, RequestMessage, ResponseMessage } from "./messages.ts";

/** Stands in every value that is refused; no message may repeat it. */
const SECRET = "s3cret";
const LINES = headerList([
  { name: "x-a", value: "1" },
  { name: "x-b", value: "2" },
]);

function request(path = "/a?x=1", method = "GET"): RequestMessage {
  return new RequestMessage({
    method,
    path,
    authority: "a.test",
    scheme: "https",
    lines: LINES,
    client: { address: "", port: 0 },
    attributes: {},
  });
}

/** What changes do to a request, as edits; the argument is of any type, as policies are checked at run time. */
function applied(changes: unknown, path?: string): string[] {
  const message = request(path);
  applyRequestChanges(message, changes as RequestChanges, { metadata: {}, need: "none" });
  return editsOf(message);
}

function editsOf(message: RequestMessage | ResponseMessage): string[] {
  return message
    .edits()
    .map((edit) =>
      edit.kind === "remove"
        ? `-${edit.name}`
        : `${edit.name}${edit.kind === "append" ? "+=" : "="}${Buffer.from(edit.value as string)}`,
    );
}

function refusal(apply: () => void): string {
  try {
    apply();
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    const { message } = error as Error;
    expect(message).toMatch(/^Cannot [\s\S]+[^.]$/);
    expect(message).not.toContain(SECRET);
    return message;
  }
  throw new Error("Nothing was refused");
}

class Changes {
  setHeaders = { "x-a": "9" };
}

describe("headers", () => {
  test("FR-021: in the order remove, set, add if absent, append, whatever the order of the properties", () => {
    const changes: RequestChanges = {
      appendHeaders: { "x-n": "append" },
      addHeadersIfAbsent: { "x-n": "absent", "x-b": "absent", "x-c": "absent" },
      setHeaders: { "x-n": "set" },
      removeHeaders: ["x-n", "x-b"],
    };
    // Headers in the order in which each was first changed: x-n is not there to be removed.
    expect(applied(changes)).toEqual(["x-b=absent", "x-n=set", "x-n+=append", "x-c=absent"]);
  });

  test("names are sent in lower case, lists are one line each, an empty list sets nothing", () => {
    expect(
      applied({
        removeHeaders: ["X-A"],
        setHeaders: { "X-Many": ["1", "2"], "X-B": [] },
        appendHeaders: { "X-Tail": [] },
        addHeadersIfAbsent: { "X-None": [] },
      }),
    ).toEqual(["-x-a", "x-many=1", "x-many+=2"]);
  });

  test("of two names that differ in case only, the later one is set and the first one added", () => {
    expect(applied({ setHeaders: { "X-N": "1", "x-n": "2" } })).toEqual(["x-n=2"]);
    expect(applied({ addHeadersIfAbsent: { "X-N": "1", "x-n": "2" } })).toEqual(["x-n=1"]);
    expect(applied({ appendHeaders: { "X-N": "1", "x-n": "2" } })).toEqual(["x-n=1", "x-n+=2"]);
  });

  test("every character that RFC 9110 allows in a value passes; text is sent as UTF-8", () => {
    const value = `\t ~!"ü€${"\u{1f600}"}`;
    expect(applied({ setHeaders: { "x-a": value, "x-empty": "" } })).toEqual([`x-a=${value}`, "x-empty="]);
  });

  test("objects without a prototype, frozen ones and undefined properties are fine", () => {
    const changes = Object.assign(Object.create(null) as object, {
      setHeaders: Object.freeze(
        Object.assign(Object.create(null) as object, { "x-a": Object.freeze(["9"]) }),
      ),
      path: undefined,
      body: undefined,
      appendHeaders: undefined,
    });
    expect(applied(Object.freeze(changes))).toEqual(["x-a=9"]);
    expect(applied({})).toEqual([]);
  });

  const control = [...Array(32).keys(), 0x7f].filter((code) => code !== 9);
  test.each(["setHeaders", "addHeadersIfAbsent", "appendHeaders"])("%s: control characters", (key) => {
    for (const code of control) {
      const value = `${SECRET}${String.fromCharCode(code)}x: y`;
      expect(refusal(() => applied({ [key]: { "x-a": value } }))).toContain("control character");
      expect(refusal(() => applied({ [key]: { "x-a": ["fine", value] } }))).toContain('"x-a"');
    }
  });

  const managed = [
    "host",
    "Host",
    "content-length",
    "Content-Length",
    "transfer-encoding",
    ":path",
    ":status",
  ];
  test.each([...managed, ":x", ":"])("%j cannot be set, nor taken away", (name) => {
    const record = { [name]: SECRET };
    expect(refusal(() => applied({ setHeaders: record }))).toContain(name.toLowerCase());
    refusal(() => applied({ appendHeaders: record }));
    refusal(() => applied({ addHeadersIfAbsent: record }));
    refusal(() => applied({ removeHeaders: [name] }));
  });

  test.each(["", " ", "x a", "x\n", "x:", "ü", "x\0", "a/b", "x,y", '"', "coo\u212aie", "x\u0130"])(
    "%j is not a header name",
    (name) => {
      expect(refusal(() => applied({ setHeaders: { [name]: SECRET } }))).toContain("not a header name");
      expect(refusal(() => applied({ removeHeaders: [name] }))).toContain("not a header name");
    },
  );

  test.each([
    ["a number", { setHeaders: { "x-a": 1 } }],
    ["null", { setHeaders: { "x-a": null } }],
    ["undefined", { setHeaders: { "x-a": undefined } }],
    ["an object", { setHeaders: { "x-a": { SECRET } } }],
    ["a list in a list", { setHeaders: { "x-a": [[SECRET]] } }],
    ["a hole in a list", { setHeaders: { "x-a": Array(1) } }],
    ["bytes", { appendHeaders: { "x-a": Buffer.from(SECRET) } }],
    ["a list of pairs", { setHeaders: [["x-a", SECRET]] }],
    ["text for a record", { setHeaders: SECRET }],
    ["null for a record", { setHeaders: null }],
    ["a Map for a record", { setHeaders: new Map([["x-a", SECRET]]) }],
    ["Headers for a record", { appendHeaders: new Headers({ "x-a": SECRET }) }],
    ["text for a list of names", { removeHeaders: SECRET }],
    ["a Set for a list of names", { removeHeaders: new Set([SECRET]) }],
    ["null for a list of names", { removeHeaders: null }],
    ["a number among the names", { removeHeaders: ["x-a", 7] }],
  ])("%s is refused", (_, changes) => {
    refusal(() => applied(changes));
  });
});

describe("request line", () => {
  test.each([
    [{ path: "/b" }, "/a?x=1", ":path=/b?x=1"],
    [{ path: "/b" }, "/a", ":path=/b"],
    [{ path: "/b" }, "/a?", ":path=/b?"],
    [{ path: "/%2f~!$&'()*+,;=:@\"<>[]^`{|}" }, "/a", ":path=/%2f~!$&'()*+,;=:@\"<>[]^`{|}"],
    [{ path: "//b/../c" }, "/a", ":path=//b/../c"],
    [{ query: "y" }, "/a?x=1?z", ":path=/a?y"],
    [{ query: "y=1&z=?/" }, "/a", ":path=/a?y=1&z=?/"],
    [{ query: "" }, "/a", ":path=/a?"],
    [{ query: null }, "/a?x?y", ":path=/a"],
    [{ path: "/b", query: null }, "/a?x=1", ":path=/b"],
    [{ method: "PATCH" }, "/a", ":method=PATCH"],
    [{ method: "m-search" }, "/a", ":method=m-search"],
    [{ authority: "[::1]:80" }, "/a", ":authority=[::1]:80"],
  ])("FR-021: %j of %j gives %j", (changes, path, edit) => {
    expect(applied(changes, path)).toEqual([edit]);
  });

  test("the same again is no edit", () => {
    expect(applied({ path: "/a", query: "x=1", method: "GET", authority: "a.test" })).toEqual([]);
  });

  test.each([
    ["path", ["", "b", "*", "/b?x", "/b#x", "/b c", "/ü", "/\n", "/\x7f", "http://b/", 1, null, ["/b"], {}]],
    ["query", ["?x", "x#y", "x y", "ü", "\r\n", 1, true, [], {}]],
    ["method", ["", "G ET", "GET\r", "ü", "a/b", 1, null, ["GET"]]],
    ["authority", ["", "a b", "a/b", "a@b", "ü.test", "a\r\nb", "a?b", 1, null]],
    ["reroute", ["true", 1, 0, null, {}]],
    ["body", ["x", "", null, new Uint8Array(1), {}]],
    ["status", [200]],
    ["headers", [{}]],
    ["setheaders", [{}]],
    ["__proto__", [{}]],
    ["then", [1]],
  ])("%s is refused", (key, values) => {
    for (const value of values) {
      const changes = Object.defineProperty({}, key, { value, enumerable: true });
      expect(refusal(() => applied(changes))).toContain(key);
      if (typeof value === "string" && value !== "") refusal(() => applied({ [key]: value + SECRET }));
    }
  });

  test.each([
    ["GET", "HEAD"],
    ["GET", "CONNECT"],
    ["HEAD", "GET"],
    ["CONNECT", "POST"],
  ])("edge: %s cannot become %s, which is answered in another way", (original, method) => {
    const message = request("/a", original);
    expect(refusal(() => applyRequestChanges(message, { method }, { metadata: {}, need: "none" }))).toContain(
      "method",
    );
    applyRequestChanges(message, { method: original }, { metadata: {}, need: "none" });
    expect(editsOf(message)).toEqual([]);
  });

  test("a method is text, and nothing that can be made text of", () => {
    refusal(() => applied({ method: { toString: () => "GET" } }));
    refusal(() => applied({ method: new String("GET") }));
  });
});

describe("status", () => {
  test.each([200, 204, 418, 599])("FR-024: %d", (status) => {
    const response = new ResponseMessage({ status: 201, lines: LINES });
    applyResponseChanges(response, { status, setHeaders: { "x-a": "9" } }, { metadata: {}, need: "none" });
    expect(editsOf(response)).toEqual(["x-a=9", `:status=${status}`]);
  });

  test.each([
    [200, 204, true, ["-content-length"]],
    [200, 304, true, ["-content-length"]],
    [304, 200, false, ["-content-length"]],
    [200, 404, false, []],
  ])("edge: %d as %d: drops the body %p, %j", (before, status, drops, edits) => {
    const lines = headerList([{ name: "content-length", value: "5" }]);
    const response = new ResponseMessage({ status: before, lines, hasBody: before === 200 });
    applyResponseChanges(response, { status }, { metadata: {}, need: "none" });
    expect(response.newContent?.length).toBe(drops ? 0 : undefined);
    expect(editsOf(response)).toEqual([`:status=${status}`, ...edits]);
    applyResponseChanges(response, { status: before }, { metadata: {}, need: "none" });
    expect([response.newContent, editsOf(response)]).toEqual([undefined, []]);
  });

  test("edge: an upgrade keeps its status, as a tunnel follows it", () => {
    const response = new ResponseMessage({ status: 101, lines: LINES });
    const changes = { status: 200, setHeaders: { "x-a": "9" } };
    expect(refusal(() => applyResponseChanges(response, changes, { metadata: {}, need: "none" }))).toContain(
      "upgrade",
    );
    expect(editsOf(response)).toEqual([]);
    applyResponseChanges(response, { setHeaders: { "x-a": "9" } }, { metadata: {}, need: "none" });
    expect(editsOf(response)).toEqual(["x-a=9"]);
  });

  test("what Envoy was told is not told again", () => {
    const response = new ResponseMessage({ status: 201, lines: LINES });
    applyResponseChanges(response, { status: 418 }, { metadata: {}, need: "none" });
    response.settle();
    expect(editsOf(response)).toEqual([]);
    applyResponseChanges(response, { status: 201 }, { metadata: {}, need: "none" });
    expect(editsOf(response)).toEqual([":status=201"]);
  });

  test.each([101, 199, 600, 200.5, Number.NaN, "200", null, [[200]], -200, 0])("%j is refused", (status) => {
    const response = new ResponseMessage({ status: 201, lines: LINES });
    const changes = { status, setHeaders: { "x-a": SECRET } } as ResponseChanges;
    expect(refusal(() => applyResponseChanges(response, changes, { metadata: {}, need: "none" }))).toContain(
      "status",
    );
    expect(editsOf(response)).toEqual([]);
  });

  test.each(["path", "query", "method", "authority", "reroute", "body"])(
    "%s is not a response's to change",
    (key) => {
      const response = new ResponseMessage({ status: 200, lines: LINES });
      const changes = { [key]: "/b" } as ResponseChanges;
      expect(
        refusal(() => applyResponseChanges(response, changes, { metadata: {}, need: "none" })),
      ).toContain(key);
    },
  );
});

describe("what is no object of changes", () => {
  test.each<[string, object]>([
    ["a list", [{ setHeaders: {} }]],
    ["an empty list", []],
    ["an instance of a class", new Changes()],
    ["a Map", new Map([["setHeaders", {}]])],
    ["a Response: it would deny nothing", new Response("no", { status: 403 })],
    ["an Error: it would deny nothing", new Error("no")],
    ["bytes", new Uint8Array(0)],
    ["a Date", new Date(0)],
    ["an object made from another", Object.create({ setHeaders: {} })],
  ])("%s", (_, result) => {
    refusal(() => applied(result));
    refusal(() =>
      applyResponseChanges(new ResponseMessage({ status: 200, lines: headerList([]) }), result, {
        metadata: {},
        need: "none",
      }),
    );
  });
});

describe("dynamic metadata", () => {
  function merged(...all: unknown[]): DynamicMetadata {
    const target: DynamicMetadata = Object.create(null);
    for (const dynamicMetadata of all)
      applyRequestChanges(request(), { dynamicMetadata } as RequestChanges, {
        metadata: target,
        need: "none",
      });
    return target;
  }

  test("merges by namespace and key, the last writer wins", () => {
    expect(merged({ a: { x: 1, y: 1 } }, { a: { y: { z: [null, true, "t", -0.5] } } }, { b: {} })).toEqual({
      a: { x: 1, y: { z: [null, true, "t", -0.5] } },
      b: {},
    });
  });

  test("is a copy, undefined members left out", () => {
    const own = { a: { list: [1], gone: undefined } };
    const target = merged(own);
    own.a.list.push(2);
    expect(target).toStrictEqual(Object.assign(Object.create(null), { a: { list: [1] } }));
  });

  test("limit: 32 levels under the whole are fine", () => {
    expect(Object.keys(merged({ a: nested(31) }))).toEqual(["a"]);
  });

  test("keys that prototypes have are keys", () => {
    const target = merged(
      JSON.parse('{"__proto__":{"__proto__":{"polluted":1}},"constructor":{"prototype":1}}'),
    );
    expect("polluted" in {}).toBe(false);
    expect(Object.keys(target).sort()).toEqual(["__proto__", "constructor"]);
    expect(JSON.stringify(Object.entries(target)[0])).toBe('["__proto__",{"__proto__":{"polluted":1}}]');
  });

  const nested = (levels: number): object => (levels === 0 ? {} : { deeper: nested(levels - 1) });
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  test.each<[string, unknown]>([
    ["null", null],
    ["text", SECRET],
    ["a list", []],
    ["a value for a namespace", { a: SECRET }],
    ["null for a namespace", { a: null }],
    ["a list for a namespace", { a: [SECRET] }],
    ["a Map for a namespace", { a: new Map() }],
    ["a Date", { a: { b: new Date(0) } }],
    ["bytes", { a: { b: Buffer.from(SECRET) } }],
    ["NaN", { a: { b: Number.NaN } }],
    ["Infinity", { a: { b: Number.POSITIVE_INFINITY } }],
    ["a bigint", { a: { b: 1n } }],
    ["a function", { a: { b: () => SECRET } }],
    ["a symbol", { a: { b: Symbol(SECRET) } }],
    ["undefined in a list", { a: { b: [undefined] } }],
    ["a circle", { a: circle }],
    ["too many levels", { a: nested(32) }],
  ])("%s is refused", (_, metadata) => {
    expect(refusal(() => merged(metadata))).toContain("dynamicMetadata");
  });
});

test("edge: a bad part leaves everything unchanged, wherever it stands", () => {
  const good: RequestChanges = {
    removeHeaders: ["x-a"],
    setHeaders: { "x-b": "9" },
    addHeadersIfAbsent: { "x-c": "9" },
    appendHeaders: { "x-d": "9" },
    path: "/b",
    query: "y",
    method: "PUT",
    authority: "b.test",
    reroute: true,
    dynamicMetadata: { a: { x: 1 } },
  };
  const bad: object[] = [
    ...["removeHeaders", "setHeaders", "addHeadersIfAbsent", "appendHeaders", "path", "query", "method"].map(
      (key) => ({ [key]: 1 }),
    ),
    { authority: "" },
    { reroute: 1 },
    { dynamicMetadata: { a: { x: 1 }, b: { y: 1n } } },
    { appendHeaders: { "x-d": "9", "x-e": ["9", "\n"] } },
    { unknown: 1 },
    { body: "" },
  ];
  for (const part of bad) {
    const message = request();
    const metadata: DynamicMetadata = {};
    refusal(() => applyRequestChanges(message, { ...good, ...part }, { metadata, need: "none" }));
    expect([editsOf(message), message.reroute, metadata]).toEqual([[], false, {}]);
  }
  const message = request();
  applyRequestChanges(message, good, { metadata: {}, need: "none" });
  expect(editsOf(message)).toHaveLength(7);
});

test("edge: what the policy changes in its result afterwards changes nothing", () => {
  const values = ["1"];
  const changes = { setHeaders: { "x-n": values } };
  const message = request();
  applyRequestChanges(message, changes, { metadata: {}, need: "none" });
  values[0] = SECRET;
  changes.setHeaders["x-n"] = [];
  expect(editsOf(message)).toEqual(["x-n=1"]);
});

test("edge: a list that reads in another way the second time is applied as it was checked", () => {
  const shifty = (values: readonly string[]) => {
    let reads = 0;
    return new Proxy(["?"], { get: (list, key) => (key === "0" ? values[reads++] : Reflect.get(list, key)) });
  };
  const changes = {
    setHeaders: { "x-n": shifty(["fine", "a\r\nx-m: b"]) },
    removeHeaders: shifty(["x-a", ":path"]),
  };
  expect(applied(changes)).toEqual(["-x-a", "x-n=fine"]);
});

test("edge: a getter that throws fails the result as a whole", () => {
  const error = new Error("getter");
  const changes = {
    setHeaders: { "x-n": "1" },
    get path(): string {
      throw error;
    },
  };
  const message = request();
  expect(() => applyRequestChanges(message, changes, { metadata: {}, need: "none" })).toThrow(error);
  expect(editsOf(message)).toEqual([]);
});

test("edge: settled edits are not sent again, and a reroute names the path", () => {
  const message = request();
  applyRequestChanges(message, { path: "/b", setHeaders: { "x-a": "9" } }, { metadata: {}, need: "none" });
  message.settle();
  expect(editsOf(message)).toEqual([]);
  applyRequestChanges(message, { reroute: true }, { metadata: {}, need: "none" });
  expect(editsOf(message)).toEqual([":path=/b?x=1"]);
  applyRequestChanges(message, { reroute: false }, { metadata: {}, need: "none" });
  expect(message.reroute).toBe(true);
  message.settle();
  expect([message.reroute, editsOf(message)]).toEqual([false, []]);
});

test("edge: CONNECT has no path: a query is refused, a re-route names the method", () => {
  expect(refusal(() => void applied({ query: "x=1" }, ""))).toContain("the request has no path");
  expect(applied({ reroute: true }, "")).toEqual([":method=GET"]);
});
