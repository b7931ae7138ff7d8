// docs/conditions.md names what conditions have, all of it and nothing else.
import { expect, test } from "bun:test";
import { compileCondition } from "../../runtime/cel/compile-condition.ts";
import { DECLARATIONS } from "../../runtime/cel/declarations.ts";
import { checker } from "../../runtime/cel/environment.ts";
import { FIELDS, VARIABLES } from "../../runtime/cel/fields.ts";
import { codesIn, tableOf, textOf } from "./doc-parts.ts";

const CONDITIONS = "docs/conditions.md";

test("every variable and field is documented", async () => {
  const { rows } = await tableOf(CONDITIONS, "What it can name", "Name");
  const documented = rows.flatMap((row) => codesIn(row[0]!)).map((name) => name.replace(/^.*\./, ""));
  const names = [
    ...["request", "response", "client", "auth"].flatMap((name) =>
      Object.keys(FIELDS[VARIABLES[name as "request"]]),
    ),
    ...Object.keys(VARIABLES).filter((name) => !(VARIABLES[name as "route"] in FIELDS)),
  ];
  expect([...new Set(documented)].sort()).toEqual([...new Set(names)].sort());
});

test("every function beyond those of the language is documented, and each that is can be called", async () => {
  const { rows } = await tableOf(CONDITIONS, "What it can call", "Call");
  const documented = rows.flatMap((row) => codesIn(row[0]!)).map((code) => /(\w+)\(/.exec(code)?.[1]);
  for (const name of documented)
    expect([name, checker().functionNames.has(name ?? "")]).toEqual([name, true]);
  const added = DECLARATIONS.map((signature) => /(\w+)\(/.exec(signature)![1]!);
  const ofText = checker()
    .environment.getDefinitions()
    .functions.filter(({ receiverType }) => receiverType === "string" || receiverType === "bytes")
    .map(({ name }) => name);
  const text = await textOf(CONDITIONS);
  for (const name of [...added, ...ofText])
    expect([name, text.includes(`${name}(`) || text.includes(`\`${name}\``)]).toEqual([name, true]);
});

test("every example is a condition", async () => {
  const fences = [...(await textOf(CONDITIONS)).matchAll(/```text\n([^`]*)```/g)];
  const examples = fences.flatMap(([, lines = ""]) => lines.trim().split("\n"));
  expect(examples.length).toBeGreaterThan(3);
  expect(examples.flatMap((example) => compileCondition(example).problems)).toEqual([]);
});
