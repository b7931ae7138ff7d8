import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bytesOf, headerList } from "./header-list.ts";
import { HeaderTable } from "./header-table.ts";

type Pairs = readonly (readonly [string, string | Uint8Array])[];

function table(...pairs: Pairs): HeaderTable {
  return new HeaderTable(headerList(pairs.map(([name, value]) => ({ name, value }))));
}

/** Edits in a form that is easy to read: `-name`, `name=value`, `name+=value`, one character a byte. */
function edits(headers: HeaderTable): string[] {
  return headers.edits().map((edit) => {
    if (edit.kind === "remove") return `-${edit.name}`;
    const value = Buffer.from(edit.value as string).toString("latin1");
    return `${edit.name}${edit.kind === "append" ? "+=" : "="}${value}`;
  });
}

describe("reading", () => {
  test.each([
    ["one line", [["x-a", "1"]], "1", ["1"]],
    ["an empty line", [["x-a", ""]], "", [""]],
    [
      "several lines, others between them",
      [
        ["x-a", "1"],
        ["x-b", "9"],
        ["x-a", "2"],
      ],
      "1, 2",
      ["1", "2"],
    ],
    [
      "empty lines among several",
      [
        ["x-a", ""],
        ["x-a", ""],
      ],
      ", ",
      ["", ""],
    ],
  ] as [string, Pairs, string, string[]][])("FR-021: %s", (_, pairs, joined, all) => {
    const headers = table(...pairs);
    expect(headers.get("x-a")).toBe(joined);
    expect(headers.getAll("x-a")).toEqual(all);
    expect(headers.getBytes("x-a").map(hex)).toEqual(all.map((value) => hex(Buffer.from(value))));
    expect(headers.has("x-a")).toBe(true);
  });

  test("a header that is not there", () => {
    const headers = table(["x-ab", "1"]);
    expect([headers.get("x-a"), headers.getAll("x-a"), headers.getBytes("x-a"), headers.has("x-a")]).toEqual([
      undefined,
      [],
      [],
      false,
    ]);
  });

  test("cookie lines are joined as RFC 9113 section 8.2.3 says", () => {
    expect(table(["cookie", "a=1"], ["cookie", "b=2"]).get("Cookie")).toBe("a=1; b=2");
  });

  test("names are compared without regard to case", () => {
    const headers = table(["x-mixed", "1"]);
    expect(headers.get("X-MiXeD")).toBe("1");
    expect(headers.has("X-MIXED")).toBe(true);
    expect(headers.getAll("X-Mixed")).toHaveLength(1);
    expect(headers.getBytes("X-Mixed")).toHaveLength(1);
  });

  test("names of properties of every object are not headers", () => {
    const headers = table(["x-a", "1"]);
    for (const name of ["__proto__", "constructor", "tostring"]) expect(headers.get(name)).toBeUndefined();
  });

  test("entries are in the order of arrival, one a line", () => {
    const headers = table(["b", "1"], ["a", "2"], ["b", "3"]);
    expect([...headers.entries()]).toEqual([
      ["b", "1"],
      ["a", "2"],
      ["b", "3"],
    ]);
  });

  test("bytes that are not UTF-8 read as U+FFFD, and exactly as they came", () => {
    const bytes = new Uint8Array([0x61, 0xff, 0xc3]);
    const headers = table(["x-a", bytes]);
    expect(headers.get("x-a")).toBe("a\ufffd\ufffd");
    expect(headers.getBytes("x-a")).toEqual([bytes]);
  });

  test("a byte order mark is part of the value: what a policy compares is what the upstream gets", () => {
    const headers = table(["x-role", new Uint8Array([0xef, 0xbb, 0xbf, 0x61])]);
    expect(headers.get("x-role")).toBe("\ufeffa");
  });

  test.each([
    ["Uint8Array", (bytes: number[]) => Uint8Array.from(bytes)],
    ["Buffer, whose slices share memory", (bytes: number[]) => Buffer.from(bytes)],
  ])("bytes that are handed out are a copy: %s", (_, make) => {
    const headers = table(["x-a", make([0x61, 0x62])]);
    headers.getBytes("x-a")[0]!.fill(0x7a);
    expect(headers.lines().map(({ value }) => Buffer.from(bytesOf(value)).toString())).toEqual(["ab"]);
    expect(headers.get("x-a")).toBe("ab");
  });
});

describe("edits", () => {
  test("none when nothing was touched, and none twice", () => {
    const headers = table(["x-a", "1"]);
    expect(edits(headers)).toEqual([]);
    headers.set("x-a", ["2"]);
    expect(edits(headers)).toEqual(["x-a=2"]);
    expect(edits(headers)).toEqual(["x-a=2"]);
  });

  test.each([
    ["removes a header with all its lines", ["remove"], ["-x-a"]],
    ["sets one value for several", ["set:3"], ["x-a=3"]],
    ["sets several values as an overwrite and appends", ["set:3,4,5"], ["x-a=3", "x-a+=4", "x-a+=5"]],
    ["appends by naming every line again", ["append:3"], ["x-a=1", "x-a+=2", "x-a+=3"]],
    ["says nothing of the same values", ["set:1,2"], []],
    ["says nothing of a header that was taken away and given back", ["remove", "append:1,2"], []],
    ["sees another order as a change", ["set:2,1"], ["x-a=2", "x-a+=1"]],
    ["sees a shorter list as a change", ["set:1"], ["x-a=1"]],
    ["appends to nothing after a removal", ["remove", "append:3"], ["x-a=3"]],
    ["removes what was set before", ["set:3", "remove"], ["-x-a"]],
  ])("%s", (_, acts, expected) => {
    const headers = table(["x-a", "1"], ["x-other", "9"], ["x-a", "2"]);
    for (const act of acts) {
      const [kind, values = ""] = act.split(":");
      if (kind === "remove") headers.remove("x-a");
      else if (kind === "set") headers.set("x-a", values.split(","));
      else headers.append("x-a", values.split(","));
    }
    expect(edits(headers)).toEqual(expected);
  });

  test("a header that Envoy does not hold is neither removed nor mentioned", () => {
    const headers = table();
    headers.remove("x-a");
    expect(edits(headers)).toEqual([]);
    headers.set("x-a", ["1"]);
    headers.remove("x-a");
    expect(edits(headers)).toEqual([]);
    headers.append("x-a", []);
    expect(edits(headers)).toEqual([]);
  });

  test("an empty value is a value", () => {
    const headers = table(["x-a", "1"]);
    headers.set("x-a", [""]);
    expect(edits(headers)).toEqual(["x-a="]);
  });

  test("lines that are not UTF-8 are kept byte for byte next to an appended one", () => {
    const headers = table(["x-a", new Uint8Array([0xff, 0x80])]);
    headers.append("x-a", ["ü"]);
    expect(edits(headers)).toEqual(["x-a=\xff\x80", "x-a+=\xc3\xbc"]);
  });

  test("setting what such a line reads as is a change: the bytes differ", () => {
    const headers = table(["x-a", new Uint8Array([0xff])]);
    headers.set("x-a", [headers.get("x-a")!]);
    expect(edits(headers)).toEqual(["x-a=\xef\xbf\xbd"]);
  });

  test("settle: what Envoy was told is what it holds", () => {
    const headers = table(["x-a", "1"]);
    headers.set("x-a", ["2"]);
    headers.settle();
    expect(edits(headers)).toEqual([]);
    headers.set("x-a", ["2"]);
    expect(edits(headers)).toEqual([]);
    headers.set("x-a", ["1"]);
    expect(edits(headers)).toEqual(["x-a=1"]);
    headers.remove("x-a");
    headers.settle();
    headers.remove("x-a");
    expect(edits(headers)).toEqual([]);
  });

  test("the lines that a table was made from are never written to", () => {
    const lines = headerList([{ name: "x-a", value: "1" }]);
    const changed = new HeaderTable(lines);
    const original = new HeaderTable(lines);
    changed.append("x-a", ["2"]);
    changed.remove("x-a");
    expect(original.getAll("x-a")).toEqual(["1"]);
  });
});

test("FR-021: whatever is done, the edits lead Envoy from what it holds to what policies left", () => {
  const name = fc.constantFrom("x-a", "x-b", "set-cookie");
  const bytes = fc.uint8Array({ maxLength: 3 });
  const act = fc.record({
    kind: fc.constantFrom("remove", "set", "append", "settle"),
    name,
    values: fc.array(fc.string({ maxLength: 2 }), { maxLength: 3 }),
  });
  const property = fc.property(fc.array(fc.tuple(name, bytes)), fc.array(act), (pairs, acts) => {
    const headers = table(...pairs);
    let envoy: (readonly [string, string])[] = pairs.map(([key, value]) => [key, hex(value)] as const);
    const tell = () => {
      for (const edit of headers.edits()) {
        if (edit.kind !== "append") envoy = envoy.filter(([key]) => key !== edit.name);
        if (edit.kind !== "remove") envoy = [...envoy, [edit.name, hex(edit.value)]];
      }
      headers.settle();
    };
    for (const { kind, name: key, values } of acts) {
      if (kind === "remove") headers.remove(key);
      else if (kind === "set") headers.set(key, values);
      else if (kind === "append") headers.append(key, values);
      else tell();
    }
    tell();
    for (const key of ["x-a", "x-b", "set-cookie"]) {
      const held = envoy.filter(([other]) => other === key).map(([, value]) => value);
      expect(held).toEqual(headers.getBytes(key).map(hex));
    }
  });
  fc.assert(property, { numRuns: 500 });
});

function hex(value: Uint8Array | string): string {
  return Buffer.from(value as string).toString("hex");
}
