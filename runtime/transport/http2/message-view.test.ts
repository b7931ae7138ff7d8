import { expect, test } from "bun:test";
import { messageView } from "./message-view.ts";

test.each([
  ["most of what came", 20_000, 5_000, true],
  ["all of little that came", 1_000, 10, true],
  ["little of much that came", 60_000, 1_300, false],
])("%s: %d bytes came, the message has %d", (_, came, length, staysInPlace) => {
  const bytes = Buffer.from(new ArrayBuffer(came + 8), 8, came).fill("ab");
  const message = messageView(bytes, 7, length);
  expect([message.length, message.buffer === bytes.buffer]).toEqual([length, staysInPlace]);
  expect(Buffer.from(message).equals(bytes.subarray(7, 7 + length))).toBe(true);
});
