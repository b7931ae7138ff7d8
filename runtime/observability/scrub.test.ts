import { describe, expect, test } from "bun:test";
import { scrubber } from "./scrub.ts";

describe("scrubber()", () => {
  const secret = 'a "b"\\\tö&c';
  const scrub = scrubber([secret, "other", ""]);

  test.each([
    ["as it is", `key ${secret}, ${secret}!`, "key [redacted], [redacted]!"],
    ["in JSON", `Cannot use ${JSON.stringify({ secret })}`, 'Cannot use {"secret":"[redacted]"}'],
    ["in a URL", `https://x/?key=${encodeURIComponent(secret)}&n=1`, "https://x/?key=[redacted]&n=1"],
    ["of several", "one other", "one [redacted]"],
    ["in part", "a b c", "a b c"],
  ])("takes a secret out %s", (_where, text, expected) => {
    expect(scrub(text)).toBe(expected);
  });

  test("edge: a secret within another, and one that is no text in Unicode", () => {
    expect(scrubber(["abcd", "abcdef"])("abcdef abcd")).toBe("[redacted] [redacted]");
    expect(scrubber(["\ud800abcd"])("x \ud800abcd")).toBe("x [redacted]");
  });

  test("edge: a text with a very short secret is withheld", () => {
    expect(scrubber(["ab"])("crab")).toBe("the message is withheld, because it may hold a secret");
    expect(scrubber(["ab"])("none")).toBe("none");
  });
});
