import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseYaml } from "../document/yaml-document.ts";
import { createStore, PolicyLab, routesText } from "./config-fixtures.ts";
import { RouteParser } from "./route-source.ts";
import { splitRoutes } from "./split-routes.ts";

/** What the pieces say together; undefined when there are none or one cannot be read. */
function readPieces(text: string): unknown[] | undefined {
  const values: unknown[] = [];
  for (const piece of splitRoutes(text) ?? []) {
    const { value, problems } = parseYaml(piece.text, "piece", { depth: 63 });
    if (problems.length > 0 || !Array.isArray(value) || value.length !== 1) return undefined;
    values.push(value[0]);
  }
  return splitRoutes(text) === undefined ? undefined : values;
}

const PLAIN = `# Routes of the shop
---
routes:   # in order
  # first
  - route: a
    policies:
      - name: tag
        version: v1
        parameters:
          name: x-a
          value: |
            - not an entry
              # not a comment

            end
  -
    route: "b
      c"
    policies: [
      { name: tag, version: v1 },   # - x
      ]

  # between
  - { route: 'it''s', policies: [] }
  - route: last
    policies: []
    metadata:
      text: |+
        end

`;

describe("splitRoutes()", () => {
  test("cuts a list in block style, and keeps the lines", () => {
    const pieces = splitRoutes(PLAIN)!;
    expect(pieces.map(({ linesBefore }) => linesBefore)).toEqual([4, 15, 23, 24]);
    expect(pieces.every(({ text }) => text.startsWith("  -"))).toBe(true);
    expect({ routes: readPieces(PLAIN) }).toEqual(parseYaml(PLAIN, "f").value as { routes: unknown[] });
    const crlf = PLAIN.replaceAll("\n", "\r\n");
    expect({ routes: readPieces(crlf) }).toEqual(parseYaml(crlf, "f").value as { routes: unknown[] });
  });

  test.each([
    ["no list", "routes:\n  a: 1\n"],
    ["flow style", "routes: [\n  - a\n]\n"],
    ["a key after", "routes:\n  - a: 1\nmore: 1\n"],
    ["a key before", "more: 1\nroutes:\n  - a: 1\n"],
    ["an anchor", "routes:\n  - a: &x 1\n  - b: *x\n"],
    ["a second document", "routes:\n- a: 1\n---\nroutes: []\n"],
    ["an entry further left", "routes:\n    - a: 1\n  - b: 1\n"],
    ["a lone carriage return", "routes:\n  - a: 1\r  - b: 1\n"],
    ["nothing", ""],
    ["an empty list", "routes:\n  # none\n"],
  ])("leaves a file whole: %s", (_name, text) => {
    expect(splitRoutes(text)).toBeUndefined();
  });

  test("whatever a text is: if its pieces can be read, they say what the whole says", () => {
    const scraps = [
      "-",
      " ",
      "\n",
      "#",
      '"',
      "'",
      ":",
      "|",
      "|+\n",
      "+",
      ">",
      "[",
      "]",
      "{",
      "}",
      ",",
      "a",
      "\t",
      "---\n",
      "  - ",
    ];
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.nat(6),
      insert: fc.array(fc.constantFrom(...scraps), { maxLength: 4 }).map((parts) => parts.join("")),
    });
    let compared = 0;
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.boolean(), (edits, nested) => {
        let text = nested ? PLAIN : PLAIN.replaceAll(/^ {2}/gm, "");
        for (const { at, remove, insert } of edits) {
          const start = at % text.length;
          text = text.slice(0, start) + insert + text.slice(start + remove);
        }
        const pieces = readPieces(text);
        if (pieces === undefined) return;
        compared += 1;
        expect(parseYaml(text, "f").value).toEqual({ routes: pieces });
      }),
      { numRuns: 1_000 },
    );
    expect(compared).toBeGreaterThan(30);
  }, 60_000);
});

describe("RouteParser", () => {
  test("other work goes on while a large file is read, and only what changed is read again", async () => {
    const kit = createStore(await PolicyLab.open());
    const routes = Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [`r${index}`, ["1", "2", "3"]]),
    );
    const parser = new RouteParser(kit.limits);
    let turns = 0;
    const ticking = setInterval(() => {
      turns += 1;
    }, 1);
    const first = await parser.parse(routesText(routes), "f");
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(1);
    const second = await parser.parse(routesText({ ...routes, r7: ["other"] }), "f");
    const same = second.entries.filter((entry, index) => entry.resource === first.entries[index]?.resource);
    expect(second.entries).toHaveLength(500);
    expect(same).toHaveLength(499);
  });

  test("problems of a piece stand where the file has them", async () => {
    const kit = createStore(await PolicyLab.open());
    const text = PLAIN.replace("{ route: 'it''s', policies: [] }", "{ route: z, policies: [], spoilt: 1 }");
    const { entries, usable } = await new RouteParser(kit.limits).parse(text, "f");
    expect(usable).toBe(true);
    expect(entries[2]?.problems).toMatchObject([
      { file: "f", line: 24, column: 31, pointer: "/routes/2/spoilt" },
    ]);
    expect(entries[0]!.problems).toEqual([]);
    const pointer = "/policies/0/version";
    expect(entries[1]!.report(pointer, "x")).toEqual(
      parseYaml(text, "f").problem(`/routes/1${pointer}`, "x"),
    );
  });
});
