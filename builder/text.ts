import { relative } from "node:path";

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error of our own making, whose message is meant for the user as it is. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** A path as a person wants to read it: from the current folder when it is below it, else absolute. */
export function shownPath(path: string, cwd: string): string {
  const below = relative(cwd, path);
  if (below === "") return ".";
  return below.startsWith("..") || below.startsWith("/") ? path : below;
}

/** `1 policy`, `2 policies`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A value in quotes, cut to a length that fits a line. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 117)}..."` : text;
}

/** The line and column (both from 1) of an offset in a text. */
export function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, Math.max(0, offset));
  const start = before.lastIndexOf("\n") + 1;
  return { line: before.split("\n").length, column: before.length - start + 1 };
}
