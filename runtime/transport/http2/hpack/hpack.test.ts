import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ConnectionError } from "../frames.ts";
import { HEADER_TABLE_BYTES } from "../limits.ts";
import { HpackDecoder } from "./decoder.ts";
import { encodeHeaders } from "./encode.ts";
import { DynamicTable, HeaderEntry } from "./table.ts";

/** Header lines as they are read, and the size of the table after them. */
function read(decoder: HpackDecoder, hex: string): [lines: string[], size: number] {
  const block = Buffer.from(hex.replaceAll(" ", ""), "hex");
  const { entries } = decoder.decode(block, 0, block.length);
  return [entries.map(({ name, value }) => `${name}: ${value}`), decoder.table.size];
}

const FIRST = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECOND = [...FIRST, "cache-control: no-cache"];
const THIRD = [
  ...[":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com"],
  "custom-key: custom-value",
];
const FOUND = [
  ...[":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT"],
  "location: https://www.example.com",
];

describe("RFC 7541 appendix C", () => {
  test.each<[string, string, string[], number]>([
    [
      "C.2.1",
      "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      ["custom-key: custom-header"],
      55,
    ],
    ["C.2.2", "040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"], 0],
    ["C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password: secret"], 0],
    ["C.2.4", "82", [":method: GET"], 0],
  ])("%s", (_, hex, lines, size) => {
    expect(read(new HpackDecoder(), hex)).toEqual([lines, size]);
  });

  test.each<[string, string[]]>([
    [
      "C.3",
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    ],
    [
      "C.4 (Huffman)",
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    ],
  ])("%s: three requests on one connection", (_, blocks) => {
    const decoder = new HpackDecoder();
    expect(blocks.map((hex) => read(decoder, hex))).toEqual([
      [FIRST, 57],
      [SECOND, 110],
      [THIRD, 164],
    ]);
  });

  test.each<[string, string[]]>([
    [
      "C.5",
      [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
      ],
    ],
    [
      "C.6 (Huffman)",
      [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
      ],
    ],
  ])("%s: responses, through a table of 256 bytes that drops the oldest", (_, [first = "", second = ""]) => {
    const decoder = new HpackDecoder();
    // 256 as a change of the table's size.
    expect(read(decoder, `3fe1 01${first}`)).toEqual([FOUND, 222]);
    expect(read(decoder, second)).toEqual([[":status: 307", ...FOUND.slice(1)], 222]);
  });
});

describe("decode()", () => {
  test.each<[string, string]>([
    ["an index of 0", "80"],
    ["an index behind the tables", "be"],
    ["a name's index behind the tables", "7f80 01"],
    ["an integer that does not end", "ffff ffff ffff ffff ffff"],
    ["an integer that ends with the block", "ff"],
    ["a name that ends with the block", "4005 6162"],
    ["a value that is missing", "4001 61"],
    ["a length beyond the block", "0001 61ff ffff 7f"],
    ["a table size above the limit", "3fe2 1f"],
    ["a table size behind a header", "8220"],
    ["Huffman: the end of the string as a symbol", "0001 6184 ffff ffff"],
    ["Huffman: padding of eight bits", "0001 6182 1fff"],
    ["Huffman: padding with a zero", "0001 6181 18"],
  ])("%s", (_, hex) => {
    const decoder = new HpackDecoder();
    expect(() => read(decoder, hex)).toThrow(ConnectionError);
  });

  test("two changes of the table's size at the beginning", () => {
    const decoder = new HpackDecoder();
    read(decoder, "4001 6101 62");
    expect(read(decoder, "20 3fe1 1f 82")).toEqual([[":method: GET"], 0]);
    expect(() => read(decoder, "be")).toThrow(ConnectionError);
  });

  test("limit: a block that unpacks to more than the limit is read to its end, and what was read is cut", () => {
    const decoder = new HpackDecoder();
    const large = Buffer.concat([
      Buffer.from("400161", "hex"),
      Buffer.from([0x7f, 0xa1, 0x1e]),
      Buffer.alloc(4_000, "v"),
    ]);
    expect(decoder.decode(large, 0, large.length).entries).toHaveLength(1);
    const bomb = Buffer.alloc(16_000, 0xbe);
    const { entries, isTooLarge } = decoder.decode(bomb, 0, bomb.length);
    expect([isTooLarge, entries.length]).toEqual([true, 16]);
    expect(decoder.decode(Buffer.from([0xbe]), 0, 1).isTooLarge).toBe(false);
  });

  test("reads what encodeHeaders() writes", () => {
    const text = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
      maxLength: 300,
    });
    const name = fc.oneof(text, fc.constantFrom(":path", ":method", "content-type", "te", "grpc-status"));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { maxLength: 20 }), (lines) => {
        const block = encodeHeaders(lines);
        const { entries } = new HpackDecoder().decode(block, 0, block.length);
        expect(entries.map((entry) => [entry.name, entry.value])).toEqual(lines);
      }),
    );
  });
});

describe("DynamicTable", () => {
  test("holds the newest that fit, as a list would", () => {
    const text = fc.string({ maxLength: 200 });
    const entry = fc.tuple(text, text).map(([name, value]) => new HeaderEntry(name, value));
    const step = fc.oneof({ weight: 9, arbitrary: entry }, fc.integer({ min: 0, max: HEADER_TABLE_BYTES }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new DynamicTable(HEADER_TABLE_BYTES);
        let model: HeaderEntry[] = [];
        let most = HEADER_TABLE_BYTES;
        for (const next of steps) {
          if (typeof next === "number") {
            most = next;
            table.resize(most);
          } else {
            table.add(next);
            model = [next, ...model];
          }
          while (model.reduce((sum, each) => sum + each.size, 0) > most) model.pop();
          expect(Array.from({ length: table.count }, (_, place) => table.get(place))).toEqual(model);
          expect([table.get(table.count), table.size <= most]).toEqual([undefined, true]);
        }
      }),
    );
  });
});
