import { join, resolve } from "node:path";
import { SDK_VERSION } from "@policy-engine/sdk";
import type { BuildInfo } from "../../runtime/policy/registry.ts";

export const PROJECT = resolve(import.meta.dir, "../..");

/** Facts for code that is run in place of an executable. */
export const BUILD: BuildInfo = {
  version: "test",
  gitCommit: "",
  builtAt: "2000-01-01T00:00:00.000Z",
  builderVersion: "",
  sdkVersion: SDK_VERSION,
  bunVersion: Bun.version,
};

/** The documents for users, relative to the project. */
export const DOCUMENTS: readonly string[] = [
  "README.md",
  ...[...new Bun.Glob("docs/**/*.md").scanSync(PROJECT)].sort(),
];

/** What a document shows in a fence. */
export interface Block {
  readonly document: string;
  /** Of the fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  /** The file it is, as the comment in its first line says. */
  readonly path: string | undefined;
}

export interface Table {
  /** The heading above it, without its hashes. */
  readonly heading: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export async function textOf(document: string): Promise<string> {
  return await Bun.file(join(PROJECT, document)).text();
}

/** The fenced blocks of a document. */
export async function blocksOf(document: string): Promise<Block[]> {
  const text = await textOf(document);
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => {
    const [, language = "", code = ""] = match;
    const line = text.slice(0, match.index).split("\n").length;
    return { document, line, language, code, path: /^(?:#|\/\/) ([\w./-]+\.[a-z]+)\n/.exec(code)?.[1] };
  });
}

/** The table with this first column, under this heading. */
export async function tableOf(document: string, heading: string, firstColumn: string): Promise<Table> {
  const found = (await tablesOf(document)).find(
    (table) => table.heading === heading && table.head[0] === firstColumn,
  );
  if (found === undefined)
    throw new Error(`Cannot find a table "${firstColumn}" under "${heading}" in ${document}`);
  return found;
}

/** The cells of the row that begins with this one. */
export function rowOf(table: Table, first: string): readonly string[] {
  const found = table.rows.filter((row) => row[0] === first);
  if (found.length !== 1) throw new Error(`Cannot find one row "${first}": there are ${found.length}`);
  return found[0]!;
}

/** What stands in backticks. */
export function codesIn(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!);
}

/** What stands in backticks in the first column. */
export function namesIn(table: Table): string[] {
  return table.rows.flatMap((row) => codesIn(row[0]!)).sort();
}

async function tablesOf(document: string): Promise<Table[]> {
  const tables: Table[] = [];
  let heading = "";
  let open: { head: string[]; rows: string[][] } | undefined;
  for (const line of (await textOf(document)).replace(/^```[\s\S]*?^```$/gm, "").split("\n")) {
    heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
    if (!line.startsWith("|")) {
      open = undefined;
      continue;
    }
    const cells = line
      .slice(1, line.lastIndexOf("|"))
      .split("|")
      .map((cell) => cell.trim());
    if (open === undefined) {
      open = { head: cells, rows: [] };
      tables.push({ heading, ...open });
    } else if (!/^:?-+:?$/.test(cells[0]!)) open.rows.push(cells);
  }
  return tables;
}

/** The members of a union of literals that a source file exports. */
export async function unionOf(file: string, name: string): Promise<string[]> {
  const source = await textOf(file);
  const union = new RegExp(`export type ${name} =([^;]*);`).exec(source)?.[1];
  if (union === undefined) throw new Error(`Cannot find type ${name} in ${file}`);
  const members = [...union.replace(/\/\*[\s\S]*?\*\//g, "").matchAll(/"([^"]+)"/g)].map(([, text]) => text!);
  return members.sort();
}
