import { expect, test } from "bun:test";
import { staysInPlace } from "./message-place.ts";

test.each([
  ["most of what came", 20_000, 5_000, true],
  ["all of little that came", 1_000, 10, true],
  ["little of much that came", 60_000, 1_300, false],
])("%s: %d bytes came, the message has %d", (_, came, length, stays) => {
  expect(staysInPlace(came, length)).toBe(stays);
});
