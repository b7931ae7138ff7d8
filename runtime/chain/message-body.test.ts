import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { MessageBody } from "./message-body.ts";

const LIMITS = { maxBytes: 1000, maxRatio: 100 };

test("edge: coded bytes that another step wrote are not shown to one that reads plain ones", () => {
  const body = new MessageBody();
  body.arrive(gzipSync("first"), "gzip");
  body.decode(LIMITS);
  expect(body.text("buffered")).toBe("first");
  const again = gzipSync("second");
  body.replace(again, "raw");
  expect([body.read("buffered"), body.text("buffered"), body.json("buffered")]).toEqual([null, null, null]);
  expect(body.read("raw")).toBe(again);
  body.decode(LIMITS);
  expect(body.text("buffered")).toBe("second");
});

test("an emptied body is empty in any coding", () => {
  const body = new MessageBody();
  body.arrive(gzipSync("first"), "gzip");
  body.replace(new Uint8Array(0), "raw");
  expect([body.text("buffered"), body.text("raw"), body.text("none")]).toEqual(["", "", null]);
});
