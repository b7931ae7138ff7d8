import { type Document, isScalar, LineCounter, parseDocument } from "yaml";
import { compareProblems, type Problem } from "./problem.ts";
import { linePlace, noPlaces, placesOf, type YamlPlaces } from "./yaml-places.ts";
import { DEFAULT_YAML_LIMITS, toJsonValue, type YamlLimits } from "./yaml-value.ts";

/** Problems of one text that are reported; garbage can have one at every character. */
const MAX_PROBLEMS = 100;

/** What a text says, as plain data that can be sent to another thread. */
export interface YamlReading {
  readonly value: unknown;
  readonly problems: Problem[];
  readonly empty: boolean;
  readonly places: YamlPlaces;
}

/** Reads a text as YAML 1.2, one document, within limits. Never throws. */
export function readYaml(text: string, file: string, limits: YamlLimits): YamlReading {
  const bounds = { ...DEFAULT_YAML_LIMITS, ...limits };
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
  const { lineStarts } = lines;
  const problems: Problem[] = [];
  const report = (offset: number, message: string, hint?: string): void => {
    if (problems.length >= MAX_PROBLEMS) return;
    const problem = {
      severity: "error",
      file,
      ...linePlace(lineStarts, offset),
      pointer: "",
      message,
    } as const;
    problems.push(hint === undefined ? problem : { ...problem, hint });
  };
  for (const { offset, message, hint } of syntaxFaults(doc)) report(offset, message, hint);
  const usable = problems.length === 0;
  const empty = usable && isEmpty(doc);
  const value = usable && !empty ? toJsonValue(doc, bounds, report) : undefined;
  problems.sort(compareProblems);
  const places = usable ? placesOf(doc, { lineStarts, depth: bounds.depth }) : noPlaces(lineStarts);
  return { value, problems, empty, places };
}

/** What is said of a text that nothing could be read of. */
export function unreadable(file: string, message: string, hint?: string): YamlReading {
  const problem = { severity: "error", file, line: 1, column: 1, pointer: "", message } as const;
  return {
    value: undefined,
    problems: [hint === undefined ? problem : { ...problem, hint }],
    empty: false,
    places: noPlaces(),
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
