import { fromPointer } from "./pointer.ts";
import type { Problem } from "./problem.ts";
import { readYaml, unreadable, type YamlReading } from "./read-yaml.ts";
import { noPlaces, placeOf } from "./yaml-places.ts";
import { DEFAULT_YAML_LIMITS, type YamlLimits } from "./yaml-value.ts";

export type { YamlLimits } from "./yaml-value.ts";

export interface ProblemOptions {
  readonly hint?: string | undefined;
  /** Points to the key instead of the value. Default `value`. */
  readonly at?: "key" | "value" | undefined;
  /** Default `error`. */
  readonly severity?: "error" | "warning" | undefined;
  /** The name of a warning. Default: none. */
  readonly code?: string | undefined;
}

/** A YAML (or JSON) text, read, with the positions of everything in it. */
export interface YamlDocument {
  readonly file: string;
  /** The content as JSON values; undefined when the text cannot be read as YAML at all. */
  readonly value: unknown;
  /** What is wrong with the text itself. A document with problems is not to be used, only checked further. */
  readonly problems: Problem[];
  /** Nothing but blanks, comments and document markers. */
  readonly empty: boolean;
  /** A problem at the place of a JSON pointer, or of its nearest parent that exists. */
  problem(pointer: string, message: string, options?: ProblemOptions): Problem;
}

/**
 * Reads a text as YAML 1.2, one document, within limits. Never throws. A mebibyte takes about a second in which
 * nothing else runs: while exchanges are served use `parseYamlApart`.
 */
export function parseYaml(text: string, file: string, limits: YamlLimits = {}): YamlDocument {
  return documentOf(file, tooLarge(text, file, limits) ?? readYaml(text, file, limits));
}

/** Values that were read before, as a document: its problems have no place. */
export function valueDocument(value: unknown, file: string): YamlDocument {
  return documentOf(file, { value, problems: [], empty: false, places: noPlaces() });
}

/** What is said of a text over the limit of size. */
export function tooLarge(text: string, file: string, limits: YamlLimits): YamlReading | undefined {
  const { bytes = DEFAULT_YAML_LIMITS.bytes } = limits;
  const size = Buffer.byteLength(text);
  if (size <= bytes) return undefined;
  return unreadable(file, `Cannot read this file: it has ${size} bytes, at most ${bytes} are allowed`);
}

/** A reading for those who check it further. */
export function documentOf(file: string, { value, problems, empty, places }: YamlReading): YamlDocument {
  return {
    file,
    value,
    problems,
    empty,
    problem(pointer, message, { at, severity = "error", hint, code } = {}) {
      const { line, column } = placeOf(places, fromPointer(pointer), at);
      const problem = { severity, file, line, column, pointer, message };
      return { ...problem, ...(hint !== undefined && { hint }), ...(code !== undefined && { code }) };
    },
  };
}
