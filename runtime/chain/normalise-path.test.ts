import { expect, test } from "bun:test";
import fc from "fast-check";
import { normalisePath } from "./normalise-path.ts";

test.each([
  // Nothing to do.
  ["/", "/"],
  ["/a", "/a"],
  ["/a/", "/a/"],
  ["/a/b.c/.well-known/...", "/a/b.c/.well-known/..."],
  ["/a;b=c,d:e@f!$&'()*+", "/a;b=c,d:e@f!$&'()*+"],
  // Slashes.
  ["//", "/"],
  ["///a", "/a"],
  ["/a//b", "/a/b"],
  ["/a//", "/a/"],
  // Dot segments.
  ["/.", "/"],
  ["/..", "/"],
  ["/./", "/"],
  ["/../../a", "/a"],
  ["/a/.", "/a/"],
  ["/a/..", "/"],
  ["/a/b/..", "/a/"],
  ["/a/b/../c", "/a/c"],
  ["/a/./b/./c", "/a/b/c"],
  ["/a/b/../../../c", "/c"],
  ["/a//../b", "/b"],
  // Encodings.
  ["/%61dmin", "/admin"],
  ["/%41%5A%7e%2D%5f%39", "/AZ~-_9"],
  ["/%2e%2E/a", "/a"],
  ["/a/%2e%2e/b", "/b"],
  ["/api/%61dmin/../x", "/api/x"],
  ["//api/%61dmin/../x", "/api/x"],
  ["/a%2fb", "/a%2Fb"],
  ["/a%2f..%2fb", "/a%2F..%2Fb"],
  ["/%c3%bc", "/%C3%BC"],
  ["/%00", "/%00"],
  // Decoded once, never twice.
  ["/%2561", "/%2561"],
  ["/%252e%252e/a", "/%252e%252e/a"],
  // What a client sends raw and what it sends encoded is one path.
  ["/\xc3\xbc", "/%C3%BC"],
  ["/a b\x7f\n", "/a%20b%7F%0A"],
  // A stray percent sign is one: it must not join what is decoded after it.
  ["/100%", "/100%25"],
  ["/%zz", "/%25zz"],
  ["/%%36%31dmin", "/%2561dmin"],
  ["/%6%31", "/%2561"],
  // No path at all.
  ["", ""],
  ["*", "*"],
  ["example.test:443", "example.test:443"],
])("FR-021: %j is %j", (path, expected) => {
  expect(normalisePath(path)).toBe(expected);
});

/** Pieces that make the hard cases likely. */
const piece = fc.constantFrom(
  ...[
    "/",
    "//",
    ".",
    "..",
    "a",
    "B",
    "9",
    "~",
    "%",
    "%2",
    "%2e",
    "%2E",
    "%2f",
    "%25",
    "%61",
    "%c3",
    "\xe4",
    "\n",
  ],
);
const anyPath = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join("")}`);
const RUNS = { numRuns: 5000 };

test("FR-021: normalising twice is normalising once", () => {
  fc.assert(
    fc.property(anyPath, (path) => {
      const once = normalisePath(path);
      expect(normalisePath(once)).toBe(once);
    }),
    RUNS,
  );
});

test("FR-021: no way round a prefix: no empty and no dot segment, no encoded unreserved character", () => {
  fc.assert(
    fc.property(anyPath, (path) => {
      const normal = normalisePath(path);
      expect(normal.startsWith("/")).toBe(true);
      const segments = normal.slice(1).split("/");
      expect(segments.slice(0, -1)).not.toContain("");
      for (const dots of [".", ".."]) expect(segments).not.toContain(dots);
      for (const [, code = ""] of normal.matchAll(/%(..)/gs)) {
        expect(code).toMatch(/^[0-9A-F]{2}$/);
        expect(String.fromCharCode(Number.parseInt(code, 16))).not.toMatch(/[A-Za-z0-9._~-]/);
      }
    }),
    RUNS,
  );
});

test("FR-021: short cuts included, every path comes out as by the rules taken one at a time", () => {
  const plain = fc
    .array(fc.constantFrom("a", "b.c", "...", "~", "\xe4", ".a", "a."), { maxLength: 5 })
    .map((segments) => `/${segments.join("/")}`);
  fc.assert(
    fc.property(fc.oneof(anyPath, plain), (path) => {
      expect(normalisePath(path)).toBe(byTheRules(path));
    }),
    RUNS,
  );
});

test("limit: a long hostile path takes linear time", () => {
  for (const part of ["/a", "/..", "//", "/%2e", "%", "/.a", "/a%"]) {
    const path = `/${part.repeat(200_000)}`;
    expect(normalisePath(path).length).toBeLessThanOrEqual(3 * path.length);
  }
});

/** The rules, one at a time and without haste: percent signs, then slashes, then dot segments. */
function byTheRules(path: string): string {
  let decoded = "";
  for (let at = 0; at < path.length; at++) {
    const code = path.slice(at + 1, at + 3);
    const byte = path.charCodeAt(at);
    if (byte < 0x21 || byte > 0x7e) decoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    else if (path[at] !== "%") decoded += path[at];
    else if (!/^[0-9A-Fa-f]{2}$/.test(code)) decoded += "%25";
    else {
      const character = String.fromCharCode(Number.parseInt(code, 16));
      decoded += /[A-Za-z0-9._~-]/.test(character) ? character : `%${code.toUpperCase()}`;
      at += 2;
    }
  }
  let merged = decoded.replace(/\/+/g, "/");
  for (;;) {
    const next = merged
      .replace(/\/\.(\/|$)/, "/")
      .replace(/^\/\.\.(\/|$)/, "/")
      .replace(/\/(?!\.\.?(?:\/|$))[^/]+\/\.\.(\/|$)/, "/");
    if (next === merged) return merged;
    merged = next;
  }
}
