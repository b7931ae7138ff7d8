import { describe, expect, test } from "bun:test";
import { Readable } from "node:stream";
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createDeflateRaw,
  createGzip,
  createZstdCompress,
  deflateRawSync,
  deflateSync,
  gzipSync,
  inflateRawSync,
  inflateSync,
  zstdCompressSync,
} from "node:zlib";
import fc from "fast-check";
import { ContentCodingError, DEFAULT_MAX_RATIO, decodeContent } from "./content-coding.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const LIMITS = { maxBytes: 16 * MIB, maxRatio: DEFAULT_MAX_RATIO };
/** Of a density that is not the matter of the test. */
const ANY_RATIO = { maxBytes: 16 * MIB, maxRatio: Number.POSITIVE_INFINITY };

type Encode = (bytes: Uint8Array) => Uint8Array;
/** Coding, how a test calls it, and an encoder. */
const CODINGS: readonly [string, string, Encode][] = [
  ["gzip", "gzip", (bytes) => gzipSync(bytes)],
  ["deflate", "deflate in zlib format", (bytes) => deflateSync(bytes)],
  ["deflate", "raw deflate", (bytes) => deflateRawSync(bytes)],
  ["br", "br", (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } })],
  ["zstd", "zstd", (bytes) => zstdCompressSync(bytes)],
  ["zstd", "zstd with checksum", zstdWithChecksum],
];
const CASES = CODINGS.map(([coding, name, encode]) => [name, coding, encode] as const);

function zstdWithChecksum(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function join(...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function noise(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** The code of the error, or the decoded text. */
function outcome(bytes: Uint8Array, coding: string | undefined, limits = LIMITS): string {
  try {
    return new TextDecoder().decode(decodeContent(bytes, coding, limits));
  } catch (error) {
    if (!(error instanceof ContentCodingError)) throw error;
    return `! ${error.code}`;
  }
}

const HELLO = bytesOf('{"greeting":"hello hello hello hello"}');
const HELLO_TEXT = new TextDecoder().decode(HELLO);

describe.each(CASES)("%s", (_name, coding, encode) => {
  test("encoded, then decoded is the same", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000, size: "max" }), fc.nat(40), (piece, times) => {
        const bytes = join(...Array.from({ length: times + 1 }, () => piece));
        expect(decodeContent(encode(bytes), coding, ANY_RATIO)).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });

  test("a body of a megabyte, dense or not", () => {
    for (const bytes of [noise(MIB), new Uint8Array(MIB)]) {
      expect(Bun.hash(decodeContent(encode(bytes), coding, ANY_RATIO))).toBe(Bun.hash(bytes));
    }
  });

  test("the result is no Buffer and has its memory for itself", () => {
    const decoded = decodeContent(encode(HELLO), coding, LIMITS);
    expect(decoded.constructor).toBe(Uint8Array);
    expect(decoded.buffer.byteLength).toBe(HELLO.length);
  });

  test("takes a view that begins within its memory", () => {
    const coded = encode(HELLO);
    const view = join([1, 2, 3], coded, [4, 5]).subarray(3, 3 + coded.length);
    expect(outcome(view, coding)).toBe(HELLO_TEXT);
  });

  test("a bomb of 10 MB stops at the limit of the ratio", () => {
    const bomb = encode(new Uint8Array(10 * MIB));
    expect(outcome(bomb, coding)).toBe("! too_dense");
  });

  test("a bomb of 10 MB stops at the limit of its size", () => {
    const bomb = encode(new Uint8Array(10 * MIB));
    expect(outcome(bomb, coding, { ...ANY_RATIO, maxBytes: MIB })).toBe("! too_large");
    expect(outcome(bomb, coding, { ...LIMITS, maxBytes: 32 * KIB })).toBe("! too_large");
  });

  test("a bomb in a bomb is measured by its outer bytes", () => {
    const bomb = encode(encode(new Uint8Array(10 * MIB)));
    expect(outcome(bomb, `${coding}, ${coding}`)).toBe("! too_dense");
    expect(outcome(encode(bomb), `${coding}, ${coding}, ${coding}`)).toBe("! too_dense");
  });

  test("the size may reach its limit, not exceed it", () => {
    const coded = encode(HELLO);
    expect(outcome(coded, coding, { ...LIMITS, maxBytes: HELLO.length })).toBe(HELLO_TEXT);
    expect(outcome(coded, coding, { ...LIMITS, maxBytes: HELLO.length - 1 })).toBe("! too_large");
    expect(outcome(coded, coding, { ...LIMITS, maxBytes: 0 })).toBe("! too_large");
    expect(outcome(encode(new Uint8Array(0)), coding, { ...LIMITS, maxBytes: 0 })).toBe("");
  });

  test("64 KiB are allowed at any ratio, a byte more is not", () => {
    const limits = { ...LIMITS, maxRatio: 0 };
    expect(decodeContent(encode(new Uint8Array(64 * KIB)), coding, limits)).toHaveLength(64 * KIB);
    expect(outcome(encode(new Uint8Array(64 * KIB + 1)), coding, limits)).toBe("! too_dense");
  });

  test.each([
    ["text", HELLO],
    ["noise", noise(300)],
    ["a dense body", new Uint8Array(200 * KIB)],
    ["nothing", new Uint8Array(0)],
  ])("%s truncated at any byte is broken", (_body, bytes) => {
    const coded = encode(bytes);
    for (let length = 1; length < coded.length; length++) {
      expect([length, outcome(coded.subarray(0, length), coding, ANY_RATIO)]).toEqual([
        length,
        "! broken_content",
      ]);
    }
  });

  test("what follows the coded content is broken, whatever it is", () => {
    for (const body of [HELLO, noise(40 * KIB), new Uint8Array(0)]) {
      const coded = encode(body);
      const tails = [
        [0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1],
        [0x1f],
        [0x1f, 0x8b],
        [0x28, 0xb5, 0x2f, 0xfd],
        [0x78, 0x9c],
      ];
      for (const tail of [...tails, bytesOf("secret"), coded.subarray(0, -1)]) {
        if (tail.length === 0) continue;
        expect([tail, outcome(join(coded, tail), coding)]).toEqual([tail, "! broken_content"]);
      }
    }
  });

  test("noise never comes out as anything but an error or decoded bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.boolean(), (tail, isPrefixed) => {
        const bytes = isPrefixed ? join(encode(HELLO).subarray(0, 12), tail) : tail;
        expect(outcome(bytes, coding, { maxBytes: 100 * KIB, maxRatio: 10 })).toBeString();
      }),
    );
  });

  test("the error quotes nothing of the content", () => {
    const secret = bytesOf("secret-secret-secret");
    for (const bytes of [secret, join(encode(secret), secret), encode(secret).subarray(0, -3)]) {
      try {
        decodeContent(bytes, coding, LIMITS);
        expect.unreachable();
      } catch (error) {
        expect(Bun.inspect(error)).not.toContain("secret");
      }
    }
  });
});

test.each(CASES.flatMap((first) => CASES.map((second) => [first, second] as const)))(
  "codings are undone in reverse: %p, %p",
  ([, first, encodeFirst], [, second, encodeSecond]) => {
    const coded = encodeSecond(encodeFirst(HELLO));
    expect(outcome(coded, `${first}, ${second}`)).toBe(HELLO_TEXT);
    if (first !== second) expect(outcome(coded, `${second}, ${first}`)).toBe("! broken_content");
  },
);

test.each([
  ["gzip", createGzip({ flush: constants.Z_SYNC_FLUSH })],
  ["deflate", createDeflate({ flush: constants.Z_FULL_FLUSH })],
  ["deflate", createDeflateRaw({ flush: constants.Z_SYNC_FLUSH })],
  ["br", createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH })],
  ["zstd", createZstdCompress({ flush: constants.ZSTD_e_flush })],
] as const)("what a sender encoded piece by piece is decoded: %s", async (coding, encoder) => {
  const pieces = [HELLO, noise(200 * KIB), new Uint8Array(300 * KIB), HELLO];
  const coded: Uint8Array[] = await Readable.from(pieces).pipe(encoder).toArray();
  expect(coded.length).toBeGreaterThan(3);
  expect(Buffer.concat(pieces).equals(decodeContent(Buffer.concat(coded), coding, LIMITS))).toBe(true);
  for (const piece of coded.slice(0, -1).keys()) {
    expect(outcome(Buffer.concat(coded.slice(0, piece + 1)), coding)).toBe("! broken_content");
  }
});

test("a coded body may be larger than the decoded one on its way, within 64 KiB", () => {
  const body = noise(100 * KIB);
  const coded = brotliCompressSync(gzipSync(body));
  expect(coded.length).toBeGreaterThan(body.length);
  expect(decodeContent(coded, "gzip, br", { ...LIMITS, maxBytes: body.length })).toEqual(body);
  const grown = gzipSync(gzipSync(noise(64 * KIB)));
  expect(outcome(grown, "br, gzip", { ...LIMITS, maxBytes: 10 })).toBe("! too_large");
});

test("nothing under a second coding is broken: only the body itself may be empty", () => {
  for (const [, , encode] of CODINGS) {
    for (const [coding] of CODINGS) {
      expect(outcome(encode(new Uint8Array(0)), `${coding}, br`)).toBe("! broken_content");
    }
  }
});

describe("names", () => {
  const coded = gzipSync(HELLO);
  test.each([
    "gzip",
    "GZip",
    "x-gzip",
    "X-GZIP",
    " gzip\t",
    "gzip,",
    ", ,gzip, ",
    "identity, gzip",
    "gzip , Identity",
    "identity,gzip,identity",
  ])("%j is decoded", (coding) => {
    expect(outcome(coded, coding)).toBe(HELLO_TEXT);
  });

  test.each([undefined, "", " ", ",", "identity", "IDENTITY", "identity, identity"])(
    "%j leaves the body as it is",
    (coding) => {
      expect(decodeContent(coded, coding, LIMITS)).toBe(coded);
    },
  );

  test.each([
    "compress",
    "x-deflate",
    "dcb",
    "brotli",
    "*",
    "gzip;q=1",
    "gzip br",
    "unknown, gzip",
    "gzip, unknown",
    "__proto__",
    "constructor",
    "g\u{212a}zip",
  ])("%j is unknown", (coding) => {
    expect(outcome(coded, coding)).toBe("! unknown_coding");
  });

  test("an unknown name is known before anything is decoded", () => {
    expect(outcome(bytesOf("broken"), "unknown, gzip")).toBe("! unknown_coding");
  });

  test.each([
    ["snappy", 'Cannot decode content with coding "snappy": gzip, deflate, br and zstd are decoded'],
    [
      "a\nb",
      "Cannot decode content with coding of an unprintable name: gzip, deflate, br and zstd are decoded",
    ],
    [
      "x".repeat(33),
      "Cannot decode content with coding of an unprintable name: gzip, deflate, br and zstd are decoded",
    ],
  ])("the message names %j if it can be shown", (coding, message) => {
    expect(() => decodeContent(coded, coding, LIMITS)).toThrow(
      new ContentCodingError("unknown_coding", message),
    );
  });

  test("three codings are decoded, four are not", () => {
    const three = gzipSync(gzipSync(coded));
    expect(outcome(three, "gzip, gzip, gzip")).toBe(HELLO_TEXT);
    expect(outcome(gzipSync(three), "gzip, gzip, gzip, gzip")).toBe("! too_many_codings");
    expect(outcome(coded, "identity, identity, identity, gzip")).toBe("! too_many_codings");
    expect(outcome(coded, "gzip,".repeat(10_000))).toBe("! too_many_codings");
  });
});

test.each(["gzip", "deflate", "br", "zstd", "gzip, br", "unknown", "a, b, c, d"])(
  "edge: an empty body is empty under %s",
  (coding) => {
    expect(decodeContent(new Uint8Array(0), coding, LIMITS)).toHaveLength(0);
  },
);

test("a bomb of 2 GiB is never in memory", () => {
  const member = gzipSync(new Uint8Array(16 * MIB));
  const gzip = Buffer.concat(Array.from({ length: 128 }, () => member));
  // Blocks of 128 KiB that repeat one byte.
  const blocks = Array.from({ length: 16 * KIB }, () => Buffer.from([0x02, 0x00, 0x10, 0x61]));
  const zstd = Buffer.concat([
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]),
    ...blocks,
    Buffer.from([1, 0, 0]),
  ]);
  for (const [coding, bomb] of [["gzip", gzip] as const, ["zstd", zstd] as const]) {
    const peak = process.resourceUsage().maxRSS;
    const limits = { maxBytes: 4 * MIB, maxRatio: Number.POSITIVE_INFINITY };
    expect(outcome(bomb, coding, limits)).toBe("! too_large");
    // In KiB.
    expect(process.resourceUsage().maxRSS - peak).toBeLessThan(128 * KIB);
  }
});

test("limits may be infinite", () => {
  const limits = { maxBytes: Number.POSITIVE_INFINITY, maxRatio: Number.POSITIVE_INFINITY };
  for (const [coding, , encode] of CODINGS) {
    expect(decodeContent(encode(new Uint8Array(MIB)), coding, limits)).toHaveLength(MIB);
  }
});

test("a body without coding has the same limit, and no ratio", () => {
  expect(outcome(HELLO, undefined, { maxBytes: HELLO.length, maxRatio: 0 })).toBe(HELLO_TEXT);
  expect(outcome(HELLO, undefined, { maxBytes: HELLO.length - 1, maxRatio: 0 })).toBe("! too_large");
  expect(outcome(HELLO, "identity", { maxBytes: HELLO.length - 1, maxRatio: 0 })).toBe("! too_large");
  expect(decodeContent(new Uint8Array(200 * KIB), undefined, { maxBytes: MIB, maxRatio: 0.5 })).toHaveLength(
    200 * KIB,
  );
});

describe("checksums", () => {
  test.each([
    ["gzip, checksum", "gzip", gzipSync(HELLO), -8],
    ["gzip, length", "gzip", gzipSync(HELLO), -4],
    ["deflate", "deflate", deflateSync(HELLO), -1],
    ["zstd", "zstd", zstdWithChecksum(HELLO), -1],
  ])("a wrong one is broken: %s", (_name, coding, coded, at) => {
    const damaged = Uint8Array.from(coded);
    damaged[damaged.length + at]! ^= 1;
    expect(outcome(damaged, coding)).toBe("! broken_content");
  });

  test.each([
    ["gzip", gzipSync(HELLO)],
    ["deflate", deflateSync(HELLO)],
    ["zstd", zstdWithChecksum(HELLO)],
  ])("%s with any bit turned has its content or is broken", (coding, coded) => {
    for (let bit = 0; bit < coded.length * 8; bit++) {
      const damaged = Uint8Array.from(coded);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect([HELLO_TEXT, "! broken_content"]).toContain(outcome(damaged, coding));
    }
  });
});

describe("gzip members", () => {
  const first = gzipSync(bytesOf("first "));
  const second = gzipSync(bytesOf("second"));

  test("all of them are the content", () => {
    expect(outcome(join(first, second, gzipSync(bytesOf("")), first), "gzip")).toBe("first secondfirst ");
  });

  test("a broken one breaks all", () => {
    const damaged = Uint8Array.from(second);
    damaged[damaged.length - 8]! ^= 1;
    expect(outcome(join(first, damaged), "gzip")).toBe("! broken_content");
    for (let length = 1; length < second.length; length++) {
      expect(outcome(join(first, second.subarray(0, length)), "gzip")).toBe("! broken_content");
    }
  });

  test("together they have one limit", () => {
    const members = join(...Array.from({ length: 200 }, () => gzipSync(new Uint8Array(KIB))));
    expect(outcome(members, "gzip", { ...ANY_RATIO, maxBytes: 200 * KIB - 1 })).toBe("! too_large");
    expect(outcome(members, "gzip", { ...LIMITS, maxRatio: 10 })).toBe("! too_dense");
    expect(decodeContent(members, "gzip", { ...ANY_RATIO, maxBytes: 200 * KIB })).toHaveLength(200 * KIB);
  });
});

describe("deflate with and without the zlib format", () => {
  /**
   * Content in a stored block that is preceded by a zlib header. For who reads raw deflate the same bytes are a
   * stored block of one byte and another one, whose length is the beginning of the content.
   */
  function ambiguous(beginning: Uint8Array): { coded: Uint8Array; content: Uint8Array } {
    const content = new Uint8Array(0xfffe);
    content.set(beginning);
    const checksum = deflateSync(content).subarray(-4);
    const lastBlock = [0x01, 0x00, 0x00, 0xff, 0xff];
    return { coded: join([0x78, 0x01, 0x00, 0xfe, 0xff, 0x01, 0x00], content, lastBlock, checksum), content };
  }

  test("content that is another one read the other way is broken", () => {
    const { coded, content } = ambiguous(
      join([5, 0, 0xfa, 0xff], bytesOf("other"), [0x01, 0, 0, 0xff, 0xff]),
    );
    expect(inflateSync(coded).equals(content)).toBe(true);
    expect(inflateRawSync(coded).toString("latin1")).toBe("\x01other");
    expect(outcome(coded, "deflate")).toBe("! broken_content");
  });

  test("content that is larger than the limit read the other way is broken", () => {
    const bomb = deflateRawSync(new Uint8Array(MIB));
    const { coded, content } = ambiguous(join([0, 0, 0xff, 0xff], bomb));
    expect(inflateSync(coded).equals(content)).toBe(true);
    expect(inflateRawSync(coded)).toHaveLength(MIB + 1);
    expect(outcome(coded, "deflate", { ...ANY_RATIO, maxBytes: 100 * KIB })).toBe("! broken_content");
  });

  test("content that only looks like it is decoded", () => {
    const { coded, content } = ambiguous(bytesOf("no length and its complement"));
    expect(() => inflateRawSync(coded)).toThrow();
    expect(decodeContent(coded, "deflate", LIMITS)).toEqual(content);
  });

  test.each([
    ["a check of it that is wrong", 0x78, 0x02],
    ["a window zlib has not", 0x88, 0x1c],
    ["another method", 0x10, 0x1b],
  ])("what has no zlib header is read without: %s", (_name, first, second) => {
    // The bits of a stored block before its length are padding, so that a header can stand there.
    const length = [second, 0];
    const content = noise(second);
    const coded = join([first, ...length, second ^ 0xff, 0xff], content, [0x01, 0, 0, 0xff, 0xff]);
    expect(decodeContent(coded, "deflate", LIMITS)).toEqual(content);
  });

  test("a zlib header is not tried without the format", () => {
    const damaged = Uint8Array.from(deflateSync(HELLO));
    damaged[damaged.length - 1]! ^= 1;
    expect(outcome(damaged, "deflate")).toBe("! broken_content");
  });

  test("a preset dictionary is broken: nobody has it", () => {
    expect(outcome(deflateSync(HELLO, { dictionary: Buffer.from("hello") }), "deflate")).toBe(
      "! broken_content",
    );
  });
});

describe("zstd frames", () => {
  const frame = zstdCompressSync(HELLO);
  const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
  /** One block: the byte "a", three times. */
  const BLOCK = [0x1b, 0x00, 0x00, 0x61];

  function skippable(kind: number, length: number): Uint8Array {
    return join([0x50 | kind, 0x2a, 0x4d, 0x18, length & 0xff, length >> 8, 0, 0], new Uint8Array(length));
  }

  test("all of them are the content, skippable ones are not", () => {
    expect(outcome(join(frame, zstdCompressSync(bytesOf("")), frame), "zstd")).toBe(HELLO_TEXT + HELLO_TEXT);
    expect(outcome(join(skippable(0, 3), frame, skippable(15, 300), frame), "zstd")).toBe(
      HELLO_TEXT + HELLO_TEXT,
    );
    expect(outcome(skippable(7, 0), "zstd")).toBe("");
  });

  test("a skippable one must be complete", () => {
    const skipped = skippable(3, 40);
    for (let length = 1; length < skipped.length; length++) {
      expect(outcome(join(frame, skipped.subarray(0, length)), "zstd")).toBe("! broken_content");
    }
  });

  test.each([
    ["one byte of size", [0x20, 3], 3],
    ["two bytes of size", [0x60, 0x00, 0x00], 256],
    ["four bytes of size", [0xa0, 3, 0, 0, 0], 3],
    ["eight bytes of size", [0xe0, 3, 0, 0, 0, 0, 0, 0, 0], 3],
    ["a window, no size", [0x00, 0x00], 3],
    ["a window and a size", [0x80, 0x00, 3, 0, 0, 0], 3],
    ["a window of 8 MiB", [0x00, 13 << 3], 3],
    ["a dictionary of number 0 in one byte: none", [0x01, 0x00, 0], 3],
    ["a dictionary of number 0 in four bytes: none", [0x03, 0x00, 0, 0, 0, 0], 3],
  ] as [string, number[], number][])("a header with %s is read", (_name, header, size) => {
    const block = [...BLOCK];
    block[0] = ((size << 3) & 0xff) | 3;
    block[1] = size >> 5;
    expect(outcome(join(MAGIC, header, block), "zstd")).toBe("a".repeat(size));
  });

  test.each([
    ["a window of 9 MiB", [0x00, (13 << 3) | 1]],
    ["a window of 128 MiB", [0x00, 17 << 3]],
    ["the largest window", [0x00, 0xff]],
    ["a size of 2 GiB as window", [0xa0, 0, 0, 0, 0x80]],
    ["the largest size as window", [0xe0, 255, 255, 255, 255, 255, 255, 255, 255]],
    ["a dictionary", [0x01, 0x00, 7]],
    ["a reserved bit", [0x08, 0x00]],
  ])("a header with %s is broken", (_name, header) => {
    expect(outcome(join(MAGIC, header, BLOCK), "zstd")).toBe("! broken_content");
  });

  test("a reserved block is broken", () => {
    expect(outcome(join(MAGIC, [0x00, 0x00], [0x1f, 0x00, 0x00, 0x61]), "zstd")).toBe("! broken_content");
  });

  test("zstd without its magic number is broken", () => {
    expect(outcome(frame.subarray(4), "zstd")).toBe("! broken_content");
  });
});
