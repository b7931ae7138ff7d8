import { join, relative } from "node:path";
import { root } from "./check.ts";

/** A piece of TypeScript that a document shows. */
export interface Example {
  /** Relative to the project. */
  readonly file: string;
  /** Of the fence, from 1. */
  readonly line: number;
  readonly code: string;
}

/** Every "```ts" block in doc comments of the .ts files and in the .md files of a folder. */
export async function findExamples(folder: string): Promise<Example[]> {
  const examples: Example[] = [];
  for (const name of [...new Bun.Glob("**/*.{ts,md}").scanSync(join(root, folder))].sort()) {
    if (name.endsWith(".test.ts")) continue;
    const path = join(root, folder, name);
    examples.push(...examplesIn(await Bun.file(path).text(), relative(root, path)));
  }
  return examples;
}

/** The examples of one file. In a .ts file, the star that begins a comment's line is taken away. */
export function examplesIn(source: string, file: string): Example[] {
  const examples: Example[] = [];
  let open: { line: number; code: string[] } | undefined;
  for (const [index, text] of source.split("\n").entries()) {
    const comment = /^\s*\* ?(.*)$/.exec(text);
    const content = file.endsWith(".md") ? text : comment?.[1];
    if (content === undefined) continue;
    if (open === undefined) {
      if (content === "```ts") open = { line: index + 1, code: [] };
    } else if (content === "```") {
      examples.push({ file, line: open.line, code: open.code.join("\n") });
      open = undefined;
    } else {
      open.code.push(content);
    }
  }
  if (open !== undefined)
    throw new Error(`Cannot read the example at ${file}:${open.line}: its fence is not closed`);
  return examples;
}
