import type { Problem } from "./problem.ts";

/** Bounds of what is read, because whoever writes a file can write a hostile one. */
export interface YamlLimits {
  /** Largest text in bytes of UTF-8. Default 1 MiB. */
  readonly bytes?: number;
}

export interface ProblemOptions {
  readonly hint?: string;
  /** Points to the key instead of the value. Default `value`. */
  readonly at?: "key" | "value";
  /** Default `error`. */
  readonly severity?: "error" | "warning";
}

/** A YAML (or JSON) text, read, with the positions of everything in it. */
export interface YamlDocument {
  readonly file: string;
  /** The content as JSON values; undefined when the text is not YAML. */
  readonly value: unknown;
  /** What is wrong with the text itself. A document with errors is not to be used, only checked further. */
  readonly problems: Problem[];
  /** Nothing but blanks and comments. */
  readonly empty: boolean;
  /** A problem at the place of a JSON pointer, or of its nearest parent that exists. */
  problem(pointer: string, message: string, options?: ProblemOptions): Problem;
}

export function parseYaml(_text: string, _file: string, _limits: YamlLimits = {}): YamlDocument {
  throw new Error("not written yet");
}
