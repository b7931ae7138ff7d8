import { expect, test } from "bun:test";
import { encodeHeaders } from "./hpack/encode.ts";
import { RequestDecoder } from "./request-decoder.ts";

const CALL = encodeHeaders([
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a.B/C"],
  ["content-type", "application/grpc"],
]);
/** Headers of a call, and at their end a header that is added to the table, or one that is an index of it. */
const adding = (value: string) =>
  Buffer.concat([
    CALL,
    Buffer.from([0x40, 3]),
    Buffer.from("x-r"),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
const indexed = (place: number) => Buffer.concat([CALL, Buffer.from([0x80 | (62 + place)])]);

function reader(): (block: Buffer) => string | undefined {
  const decoder = new RequestDecoder(new Map());
  return (block) => decoder.head(block, 0, block.length).get("x-r");
}

test("the same bytes mean the same only as long as the table does", () => {
  const read = reader();
  expect([read(adding("one")), read(indexed(0)), read(indexed(0))]).toEqual(["one", "one", "one"]);
  expect([read(adding("two")), read(indexed(0)), read(indexed(1))]).toEqual(["two", "two", "one"]);
});

test("a block that adds to the table adds to it each time", () => {
  const read = reader();
  expect([read(adding("one")), read(adding("two")), read(adding("two"))]).toEqual(["one", "two", "two"]);
  expect([read(indexed(0)), read(indexed(1)), read(indexed(2))]).toEqual(["two", "two", "one"]);
});

test("blocks of one length are told apart, and one that is too long to remember is read", () => {
  const read = reader();
  const plain = (value: string) => Buffer.concat([CALL, encodeHeaders([["x-r", value]])]);
  expect(["aa", "ab", "ba", "aa"].map((value) => read(plain(value)))).toEqual(["aa", "ab", "ba", "aa"]);
  const long = "v".repeat(300);
  expect([read(plain(long)), read(plain(long)), read(plain("aa"))]).toEqual([long, long, "aa"]);
});

test("a call with the same headers shares what was read of them", () => {
  const decoder = new RequestDecoder(new Map());
  const block = Buffer.concat([CALL, encodeHeaders([["x-r", "a"]])]);
  const [first, second] = [
    decoder.head(block, 0, block.length),
    decoder.head(Buffer.from(block), 0, block.length),
  ];
  expect(second).toBe(first);
});
