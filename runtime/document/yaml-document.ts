import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { fromPointer } from "./pointer.ts";
import { compareProblems, type Problem } from "./problem.ts";
import { DEFAULT_YAML_LIMITS, keyPlace, keyText, toJsonValue, type YamlLimits } from "./yaml-value.ts";

export type { YamlLimits } from "./yaml-value.ts";

/** Problems of one text that are reported; garbage can have one at every character. */
const MAX_PROBLEMS = 100;

export interface ProblemOptions {
  readonly hint?: string | undefined;
  /** Points to the key instead of the value. Default `value`. */
  readonly at?: "key" | "value" | undefined;
  /** Default `error`. */
  readonly severity?: "error" | "warning" | undefined;
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

/** Reads a text as YAML 1.2, one document, within limits. Never throws. */
export function parseYaml(text: string, file: string, limits: YamlLimits = {}): YamlDocument {
  const bounds = { ...DEFAULT_YAML_LIMITS, ...limits };
  const size = Buffer.byteLength(text);
  if (size > bounds.bytes) {
    return unreadable(
      file,
      `Cannot read this file: it has ${size} bytes, at most ${bounds.bytes} are allowed`,
    );
  }
  const lines = new LineCounter();
  let doc: Document;
  try {
    // Unique keys are checked in toJsonValue: the parser compares each key with every other.
    doc = parseDocument(text, {
      lineCounter: lines,
      version: "1.2",
      merge: false,
      uniqueKeys: false,
      prettyErrors: false,
      // With "silent" the parser would keep a second document to itself.
      logLevel: "error",
    });
  } catch {
    return unreadable(file, "Cannot read this file: it is not YAML");
  }
  const problems: Problem[] = [];
  const report = (offset: number, message: string, hint?: string): void => {
    if (problems.length >= MAX_PROBLEMS) return;
    const { line, col } = lines.linePos(offset);
    problems.push(makeProblem({ file, line, column: col, pointer: "", message }, { hint }));
  };
  for (const { offset, message, hint } of syntaxFaults(doc)) report(offset, message, hint);
  const usable = problems.length === 0;
  const empty = usable && isEmpty(doc);
  const value = usable && !empty ? toJsonValue(doc, bounds, report) : undefined;
  problems.sort(compareProblems);
  return {
    file,
    value,
    problems,
    empty,
    problem(pointer, message, options = {}) {
      const { line, col } = lines.linePos(usable ? offsetOf(doc, fromPointer(pointer), options.at) : 0);
      return makeProblem(
        { file, line: Math.max(line, 1), column: Math.max(col, 1), pointer, message },
        options,
      );
    },
  };
}

interface Fault {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string;
}

function syntaxFaults(doc: Document): Fault[] {
  const overflow = doc.errors.find((error) => error.code === "RESOURCE_EXHAUSTION");
  if (overflow) return [{ offset: overflow.pos[0], message: "Cannot read what is nested this deeply" }];
  const faults: Fault[] = doc.errors.map((error) => {
    const offset = error.pos[0];
    if (error.code === "MULTIPLE_DOCS") {
      return { offset, message: "Cannot read several documents: a file holds one", hint: 'Remove the "---"' };
    }
    if (error.code === "TAB_AS_INDENT") {
      return { offset, message: "Cannot use a tab as indentation: YAML needs spaces" };
    }
    return { offset, message: `Cannot read this as YAML: ${withoutQuotes(error.message)}` };
  });
  if (doc.directives?.yaml.explicit === true && doc.directives.yaml.version !== "1.2") {
    faults.push({
      offset: 0,
      message: "Cannot read YAML 1.1: its words for booleans surprise, YAML 1.2 is read",
    });
  }
  return faults;
}

/** The parser's message without what it quotes of the text, which may be a secret. */
function withoutQuotes(message: string): string {
  const unquoted = message.replace(/(?:: | (?=\\)).*$/s, "");
  return unquoted.charAt(0).toLowerCase() + unquoted.slice(1).replace(/\.$/, "");
}

function isEmpty(doc: Document): boolean {
  const { contents } = doc;
  if (contents === null || contents === undefined) return true;
  return (
    isScalar(contents) && contents.value === null && contents.source === "" && contents.tag === undefined
  );
}

/** Where the steps lead in the text; a step that does not exist ends the way at its parent. */
function offsetOf(doc: Document, steps: readonly string[], at: "key" | "value" = "value"): number {
  let node: unknown = doc.contents;
  let offset = (node as Node | null)?.range?.[0] ?? 0;
  for (const [index, step] of steps.entries()) {
    if (isAlias(node)) node = node.resolve(doc);
    const last = index === steps.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((item) => keyText(item.key) === step);
      if (pair === undefined) break;
      node = pair.value;
      const ofKey = keyPlace(pair.key) ?? offset;
      const ofValue = (node as Node | null)?.range?.[0];
      // An empty value has no place of its own that a reader would look at.
      const blank = isScalar(node) && node.type === "PLAIN" && node.source === "";
      offset = (last && at === "key") || blank ? ofKey : (ofValue ?? ofKey);
    } else if (isSeq(node) && /^(?:0|[1-9]\d{0,9})$/.test(step) && Number(step) < node.items.length) {
      node = node.items[Number(step)];
      offset = (node as Node | null)?.range?.[0] ?? offset;
    } else {
      break;
    }
  }
  return offset;
}

function makeProblem(problem: Omit<Problem, "severity" | "hint">, options: ProblemOptions): Problem {
  const { severity = "error", hint } = options;
  return hint === undefined ? { severity, ...problem } : { severity, ...problem, hint };
}

function unreadable(file: string, message: string): YamlDocument {
  const at = { file, line: 1, column: 1 };
  return {
    file,
    value: undefined,
    empty: false,
    problems: [makeProblem({ ...at, pointer: "", message }, {})],
    problem: (pointer, text, options = {}) => makeProblem({ ...at, pointer, message: text }, options),
  };
}
