import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { type ApartOptions, MAX_INLINE_CHARACTERS, parseYamlApart } from "./parse-yaml-apart.ts";
import { toPointer } from "./pointer.ts";
import { formatProblem } from "./problem.ts";
import { parseYaml, type YamlDocument } from "./yaml-document.ts";

// Threads start slowly where everything is busy.
setDefaultTimeout(60_000);

const PROJECT = resolve(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "policy-engine-document-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A thread that does something else. */
function program(name: string, text: string): URL {
  const file = join(folder, `${name}.ts`);
  writeFileSync(file, text);
  return pathToFileURL(file);
}

/** Reads in a thread, however small the text is. */
function apart(text: string, options: ApartOptions = {}): Promise<YamlDocument> {
  return parseYamlApart(text, "f.yaml", { inlineCharacters: -1, ...options });
}

function pathsOf(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...path, key]));
  return [path, ...inner];
}

/** All that can be asked of a document, with positions of keys and values, of some that do not exist too. */
function everything(document: YamlDocument): unknown {
  const pointers = pathsOf(document.value).slice(0, 2_000).map(toPointer);
  const places = [...pointers, ...pointers.slice(0, 20).map((pointer) => `${pointer}/none`)].flatMap(
    (pointer) =>
      (["key", "value"] as const).map((at) => formatProblem(document.problem(pointer, "m", { at }))),
  );
  const { file, value, problems, empty } = document;
  // As text too: the order of keys counts.
  return { file, value, text: JSON.stringify(value), problems, empty, places };
}

async function expectSame(text: string, options: ApartOptions = {}): Promise<void> {
  const { inlineCharacters: _, timeoutMs: __, worker: ___, ...limits } = options;
  expect(everything(await apart(text, options))).toStrictEqual(everything(parseYaml(text, "f.yaml", limits)));
}

/** Routes as people write them, over the size that is read at once. */
function manyRoutes(count: number): string {
  const routes = Array.from(
    { length: count },
    (_, index) =>
      `  - route: route-${index} # comment\n    metadata: { tier: gold, "404": x }\n    policies:\n` +
      `      - name: set-header\n        version: v1\n        parameters: { name: x-a, value: [é, -0, 1.5, ~] }\n`,
  );
  return `routes:\n${routes.join("")}`;
}

describe("parseYamlApart() reads what parseYaml() reads", () => {
  test("a large text, with the places of everything in it", async () => {
    const text = manyRoutes(250);
    expect(text.length).toBeGreaterThan(MAX_INLINE_CHARACTERS);
    const document = await parseYamlApart(text, "f.yaml");
    expect(document.problems).toEqual([]);
    expect(everything(document)).toStrictEqual(everything(parseYaml(text, "f.yaml")));
    const { line, column } = document.problem("/routes/249/policies/0/parameters/value/1", "m");
    expect({ line, column }).toEqual({ line: 1 + 249 * 6 + 6, column: 45 });
  });

  test.each([
    ["nothing", ""],
    ["a comment", "# only a comment\n"],
    ["an empty document", "---\n"],
    ["null", "null"],
    ["a byte order mark and CRLF", "\uFEFFa: 1\r\nb:\r\n  - 2\r\n"],
    ["keys that look like numbers", "b: 1\n404: a\n1: b\ntrue: c\n"],
    ["keys with marks of pointers", "'d/e~f': {g: 2, '': 3}\n"],
    ["values that are left out", "a:\n  - b:\n    c:\n  -\n? d\n"],
    ["an alias", "a: &x\n  k: [1, 2]\nb: *x\nc: [*x, &x y, *x]\n"],
    ["an alias of a key", "&k a: 1\nb: *k\n"],
    ["an alias of what contains it", "a: &a [*a]"],
    ["an alias of nothing", "a: *none"],
    ["duplicate keys", "a: {x: 1}\nb: 2\na: {y: 3}\n"],
    [
      "what is refused, of every kind",
      "a: .nan\nb: !x 1\na: 2\n<<: 3\n? [q, &r s]\n: 4\n__proto__: {t: 1}\n",
    ],
    ["a syntax error", "a: [1\nb: 2"],
    ["several documents", "a: 1\n---\nb: 2\n"],
    ["a lone surrogate", '{"a": "\\ud800"}'],
    ["depth over the limit", "[".repeat(66) + "]".repeat(66)],
  ])("%s", async (_, text) => {
    await expectSame(text);
  });

  test("every YAML file of this project", async () => {
    const glob = new Bun.Glob("{examples,test}/**/*.{yaml,yml,json}");
    const files = (await Array.fromAsync(glob.scan({ cwd: PROJECT }))).filter(
      (file) => !file.includes("node_modules/"),
    );
    expect(files.length).toBeGreaterThan(5);
    const texts = await Promise.all(files.toSorted().map((file) => Bun.file(join(PROJECT, file)).text()));
    // All in one document, so that one thread reads them, and the first few by themselves.
    await expectSame(texts.map((text) => `- |2\n${text.replace(/^/gm, "    ")}\n`).join(""));
    for (const text of texts.slice(0, 5)) await expectSame(text);
  });

  test("generated values, in YAML and in JSON", async () => {
    const scalar = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.double({ noNaN: true }),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        scalar,
        fc.array(tie("value")),
        fc.dictionary(fc.string(), tie("value")),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 20 }), fc.boolean(), async (list, asJson) => {
        await expectSame(asJson ? JSON.stringify(list, null, 1) : Bun.YAML.stringify(list, null, 2));
      }),
      { numRuns: 8 },
    );
  });

  test("a text up to the limit of size, and none beyond it", async () => {
    await expectSame("é: 1", { bytes: 5 });
    await expectSame("é: 1", { bytes: 4 });
    expect((await apart("é: 1", { bytes: 4 })).problems.map(({ message }) => message)).toEqual([
      "Cannot read this file: it has 5 bytes, at most 4 are allowed",
    ]);
  });

  test("under its limits", async () => {
    await expectSame("a: &a [1, 2]\nb: *a\n", { aliasValues: 2 });
    await expectSame("a: {b: {c: 1}}", { depth: 2 });
  });

  test("others run while a large text is read", async () => {
    let turns = 0;
    let reading = true;
    const turn = (): void => {
      turns += 1;
      if (reading) setImmediate(turn);
    };
    setImmediate(turn);
    await parseYamlApart(manyRoutes(700), "f.yaml");
    reading = false;
    // What was read comes in more messages than this.
    expect(turns).toBeGreaterThan(3);
  });

  test("several at a time", async () => {
    const texts = [manyRoutes(30), manyRoutes(31), "a: [", manyRoutes(32)];
    const documents = await Promise.all(texts.map((text) => apart(text)));
    for (const [index, document] of documents.entries()) {
      expect(everything(document)).toStrictEqual(everything(parseYaml(texts[index]!, "f.yaml")));
    }
  });
});

describe("hostile: parseYamlApart()", () => {
  test.each(["[", "{a: ", "- ", "&a ", "*a, "])(
    "a large text of %j is refused with few problems",
    async (piece) => {
      const { value, problems } = await parseYamlApart(piece.repeat(20_000), "f.yaml");
      expect(value).toBeUndefined();
      expect(problems.length).toBeGreaterThan(0);
      expect(problems.length).toBeLessThanOrEqual(100);
    },
  );

  test("an alias bomb in a large text ends at the limit of values", async () => {
    const bomb = [`pad: ${"x".repeat(MAX_INLINE_CHARACTERS)}`, "a: &a [x,x,x,x,x,x,x,x,x]"];
    for (const [name, of] of ["ba", "cb", "dc", "ed", "fe", "gf", "hg"]) {
      bomb.push(`${name}: &${name} [${Array(9).fill(`*${of}`).join()}]`);
    }
    const { problems } = await parseYamlApart(bomb.join("\n"), "f.yaml");
    expect(problems.map(({ message }) => message)).toEqual([
      "Cannot expand aliases: they stand for more than 10000 values",
    ]);
  });

  test("what takes too long is given up, and its thread ended", async () => {
    const endless = program("endless", "self.onmessage = () => { for (;;); };");
    const { value, empty, problems } = await apart("a: 1", { worker: endless, timeoutMs: 50 });
    expect({ value, empty }).toEqual({ value: undefined, empty: false });
    expect(problems.map(formatProblem)).toEqual([
      "f.yaml:1:1: error: Cannot read this file: it takes longer than 50 ms\n" +
        "  hint: Reload to try again; split a file that is very large or deeply nested",
    ]);
  });

  test.each([
    ["throws when it starts", "throw new Error('hunter2');"],
    ["throws when it reads", "self.onmessage = () => { throw new Error('hunter2'); };"],
    ["rejects when it reads", "self.onmessage = async () => { throw new Error('hunter2'); };"],
  ])("a thread that %s is a problem that quotes nothing", async (name, text) => {
    const document = await apart("a: hunter2", { worker: program(name.replaceAll(" ", "-"), text) });
    expect(document.value).toBeUndefined();
    expect(document.empty).toBe(false);
    expect(document.problems.map(({ message }) => message)).toEqual([
      "Cannot read this file: the thread that reads it failed",
    ]);
    expect(document.problem("/a", "m")).toMatchObject({ line: 1, column: 1 });
  });

  test("a thread that ends before it has answered is a problem", async () => {
    const worker = program("ends", "self.onmessage = () => { process.exit(0); };");
    expect((await apart("a: 1", { worker })).problems.map(({ message }) => message)).toEqual([
      "Cannot read this file: the thread that reads it ended early",
    ]);
  });

  test.each(["file:///nowhere/none.ts", "nonsense:x"])("a thread that is not there: %s", async (url) => {
    const { problems } = await apart("a: 1", { worker: new URL(url) });
    expect(problems.map(({ message }) => message).join()).toStartWith("Cannot read this file: ");
  });

  test("a thread that was given up does not keep the process alive; one at work does", async () => {
    const script = join(folder, "script.ts");
    const endless = program("endless-too", "self.onmessage = () => { for (;;); };");
    writeFileSync(
      script,
      `import { parseYamlApart } from ${JSON.stringify(join(import.meta.dir, "parse-yaml-apart.ts"))};
const worker = new URL(${JSON.stringify(endless.href)});
const late = await parseYamlApart("a: 1", "f", { inlineCharacters: -1, timeoutMs: 50, worker });
const read = await parseYamlApart("a: 1", "f", { inlineCharacters: -1 });
console.log(late.problems.length, JSON.stringify(read.value));
`,
    );
    const child = Bun.spawn([process.execPath, script], { stdout: "pipe", stderr: "inherit" });
    expect(await child.stdout.text()).toBe('1 {"a":1}\n');
    expect(await child.exited).toBe(0);
  });
});
