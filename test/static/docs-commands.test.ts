// Commands and options in the documents are those of the two programs, all of them and nothing else.
import { expect, test } from "bun:test";
import { refuseBuildFlag } from "../../builder/build-flags.ts";
import { runCli as runBuilder } from "../../builder/cli.ts";
import { runCli as runEngine } from "../../runtime/cli/cli.ts";
import { BUILD, blocksOf, codesIn, DOCUMENTS, namesIn, tableOf, textOf } from "./doc-parts.ts";

const OPERATIONS = "docs/operations.md";
const BUILDER = "docs/builder.md";

type Options = Map<string, Set<string>>;

/** The options of each command, and of the program itself as the command "". */
async function optionsOf(help: (...args: string[]) => Promise<string>): Promise<Options> {
  const program = await help("--help");
  const names = [...program.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map(([, name]) => name!);
  const options: Options = new Map([["", optionsIn(program)]]);
  for (const name of names) options.set(name, optionsIn(await help(name, "--help")));
  return options;
}

function optionsIn(help: string): Set<string> {
  return new Set(
    [...help.matchAll(/^ {2}(?:(-\w), )?(--[a-z-]+)/gm)].flatMap(([, short, long]) =>
      short === undefined ? [long!] : [long!, short],
    ),
  );
}

const engine = await optionsOf(async (...args) => {
  let text = "";
  const io = { out: (part: string) => (text += part), err: () => {}, colours: false };
  await runEngine(args, { policies: [], build: BUILD, io });
  return text;
});
const builder = await optionsOf(async (...args) => {
  let text = "";
  const { signal } = new AbortController();
  const terminal = { out: (part: string) => (text += part), err: () => {}, colours: false, cwd: ".", signal };
  await runBuilder(args, terminal);
  return text;
});

/** What the table of options says, in the same form. "all" are the commands and the program. */
async function documented(document: string, heading: string, commands: Options): Promise<Options> {
  const { rows } = await tableOf(document, heading, "Option");
  const found: Options = new Map([...commands.keys()].map((name) => [name, new Set<string>()]));
  for (const [names = "", of = ""] of rows) {
    const all = [...commands.keys()].filter((name) => name !== "" || codesIn(names).includes("--help"));
    const named = of === "all" ? all : (of.match(/[a-z]+(?:-[a-z]+)*/g) ?? [""]);
    for (const name of of === "the program" ? [""] : named)
      for (const option of codesIn(names)) found.get(name)?.add(option);
  }
  return found;
}

const plain = (options: Options) =>
  Object.fromEntries([...options].map(([name, set]) => [name, [...set].sort()]));

test("every command and option of policy-engine is documented, and no other", async () => {
  expect([...engine.keys()]).toContain("serve");
  const commands = namesIn(await tableOf(OPERATIONS, "Command line", "Command"));
  const names = [...engine.keys()].filter((name) => name !== "");
  expect(commands).toEqual(names.map((name) => `policy-engine ${name}`).sort());
  expect(plain(await documented(OPERATIONS, "Command line", engine))).toEqual(plain(engine));
});

test("every command and option of policy-builder is documented, and no other", async () => {
  expect([...builder.keys()]).toContain("build");
  const commands = namesIn(await tableOf(BUILDER, "Building", "Command"));
  const names = [...builder.keys()].filter((name) => name !== "");
  expect(commands).toEqual(names.map((name) => `policy-builder ${name}`).sort());
  const written = plain(await documented(BUILDER, "Building", builder));
  const inCode = plain(builder);
  for (const options of Object.values(inCode)) options.splice(0, options.length, ...options.filter(isLong));
  expect(written).toEqual(inCode);
});

const isLong = (option: string): boolean => option.startsWith("--");

test("commands that documents show have the options they are shown with", async () => {
  let shown = 0;
  for (const document of DOCUMENTS) {
    const blocks = (await blocksOf(document)).filter(({ language }) => ["sh", "ini"].includes(language));
    const text = blocks.map(({ code }) => code.replaceAll("\\\n", " ")).join("\n");
    const calls = text.matchAll(/(?:^|[ =/])(policy-engine|policy-builder)((?: +[^\s>#&|]+)+)/gm);
    for (const [call, program, rest = ""] of calls) {
      const words = rest.trim().split(/ +/);
      const command = words[0]!.startsWith("-") ? "serve" : words[0]!;
      const options = (program === "policy-engine" ? engine : builder).get(command);
      expect(options, `${document}: ${call}`).toBeDefined();
      for (const word of words.filter((each) => each.startsWith("-")))
        expect([...options!], `${document}: ${call}`).toContain(word);
      shown += 1;
    }
  }
  expect(shown).toBeGreaterThan(7);
});

test("options in the text exist", async () => {
  const known = new Set([...engine.values(), ...builder.values()].flatMap((set) => [...set]));
  for (const document of DOCUMENTS) {
    const prose = (await textOf(document)).replace(/^```[\s\S]*?^```$/gm, "");
    for (const option of codesIn(prose).filter(isLong)) {
      const exists = known.has(option) || refuseBuildFlag(option) === undefined;
      expect([document, option, exists]).toEqual([document, option, true]);
    }
  }
});
