import { dirname } from "node:path";
import { MAX_INLINE_CHARACTERS, parseYamlApart } from "../document/parse-yaml-apart.ts";
import { compareProblems, type Problem } from "../document/problem.ts";
import { type CompiledSchema, compileSchema, type SchemaIssue } from "../document/schema.ts";
import { parseYaml, type YamlDocument } from "../document/yaml-document.ts";
import { DEFAULT_YAML_LIMITS } from "../document/yaml-value.ts";
import { Breather } from "./breather.ts";
import {
  type PolicyReference,
  type RouteReporter,
  type RouteResource,
  routeSchema,
  toPolicyReference,
  toRouteResource,
} from "./route-resource.ts";
import { splitRoutes } from "./split-routes.ts";

/** Everything that is configured at one moment, as far as it can be read. */
export interface RouteSet {
  readonly sources: readonly RouteSource[];
  /** What is wrong with all of it, such as a folder that is gone; nothing of the set is applied then. */
  readonly problems: readonly Problem[];
}

/** What one file (or another origin of routes) says. */
export interface RouteSource {
  /** The file, as it was named. */
  readonly name: string;
  /** Folder that the relative paths in it start from. */
  readonly baseDir: string;
  /** False when it cannot be read or understood as a whole: the routes that came from it stay as they are. */
  readonly usable: boolean;
  readonly entries: readonly RouteEntry[];
  /** Whether every entry has a name; if not, nobody can tell which routes are gone from it. */
  readonly named: boolean;
  /** What is wrong with it, beside the problems of its entries. */
  readonly problems: readonly Problem[];
}

/** One entry that has a name, whatever else is wrong with it. */
export interface RouteEntry {
  readonly route: string;
  /** Undefined when its shape is wrong anywhere. */
  readonly resource: RouteResource | undefined;
  /** Its policies by their place, without those whose shape is wrong: the rest is checked all the same. */
  readonly references: ReadonlyMap<number, PolicyReference>;
  readonly problems: readonly Problem[];
  /** Makes a problem at a pointer within the entry. */
  readonly report: RouteReporter;
}

/** How to remove every route, for those who emptied a file. */
const REMOVAL_HINT = 'To remove every route write "routes: []"; nothing is removed for want of content';

export const ROUTES_LIMIT_HINT = 'The limit is "limits.routes" of the engine\'s configuration';

/** What one entry says, whatever its place. */
type ParsedEntry = Pick<RouteEntry, "resource" | "references"> & {
  readonly route: string | undefined;
  readonly issues: readonly SchemaIssue[];
};

/** Levels of nesting that a whole file has around an entry and a piece of it has not. */
const OUTER_LEVELS = 1;

/** Parses route files; make one for many files and for all their changes. */
export class RouteParser {
  readonly #route = routeSchema();
  readonly #top = topSchema();
  readonly #limits: { readonly routeFileBytes: number; readonly routes: number };
  /** Entries of each file by their text, as they were read last. */
  readonly #known = new Map<string, ReadonlyMap<string, ParsedEntry>>();

  /** @param limits `limits.routeFileBytes` and `limits.routes` of the engine's configuration. */
  constructor(limits: { readonly routeFileBytes: number; readonly routes: number }) {
    this.#limits = limits;
  }

  /** What a text says. Never rejects. Other work runs in between. */
  async parse(text: string, file: string): Promise<RouteSource> {
    return (await this.#parsePieces(text, file)) ?? this.#parseWhole(text, file);
  }

  /** Forgets files that are not among these. */
  keep(files: ReadonlySet<string>): void {
    for (const file of this.#known.keys()) if (!files.has(file)) this.#known.delete(file);
  }

  /** Reads entry by entry; undefined where the file is to be read as a whole, also to say what is wrong. */
  async #parsePieces(text: string, file: string): Promise<RouteSource | undefined> {
    if (Buffer.byteLength(text) > this.#limits.routeFileBytes) return undefined;
    const pieces = splitRoutes(text);
    if (pieces === undefined || pieces.length > this.#limits.routes) return undefined;
    const before = this.#known.get(file);
    const known = new Map<string, ParsedEntry>();
    const found: { readonly parsed: ParsedEntry; readonly report: RouteReporter }[] = [];
    const breather = new Breather();
    for (const [index, piece] of pieces.entries()) {
      if (piece.text.length > MAX_INLINE_CHARACTERS) return undefined;
      await breather.pause();
      const read = (): YamlDocument =>
        parseYaml(piece.text, file, { depth: DEFAULT_YAML_LIMITS.depth - OUTER_LEVELS });
      const parsed = before?.get(piece.text) ?? known.get(piece.text) ?? this.#parsePiece(read());
      if (parsed === undefined) return undefined;
      known.set(piece.text, parsed);
      found.push({ parsed, report: pieceReporter(weakly(read), { index, linesBefore: piece.linesBefore }) });
    }
    this.#known.set(file, known);
    return assemble(file, { found, problems: [] });
  }

  #parsePiece({ value, problems }: YamlDocument): ParsedEntry | undefined {
    if (problems.length > 0 || !Array.isArray(value) || value.length !== 1) return undefined;
    return this.#parseEntry(value[0]);
  }

  async #parseWhole(text: string, file: string): Promise<RouteSource> {
    const document = await parseYamlApart(text, file, { bytes: this.#limits.routeFileBytes });
    if (document.empty) {
      const message = `Cannot use route file ${JSON.stringify(file)}: it is empty, a list "routes" is needed`;
      return unusable(file, [document.problem("", message, { hint: REMOVAL_HINT })]);
    }
    if (document.value === undefined) return unusable(file, document.problems);
    const problems = [...document.problems];
    for (const { pointer, message, hint, at } of this.#top.check(document.value)) {
      problems.push(document.problem(pointer, message, { hint, at }));
    }
    const routes = (document.value as { routes?: unknown } | null)?.routes;
    const values: readonly unknown[] = Array.isArray(routes) ? routes : [];
    if (values.length > this.#limits.routes) {
      const message = `Cannot use ${values.length} routes: at most ${this.#limits.routes} are allowed`;
      return unusable(file, [document.problem("/routes", message, { hint: ROUTES_LIMIT_HINT })]);
    }
    // Only the places of the document are kept for later reports, not its value.
    const { problem } = document;
    const found: { readonly parsed: ParsedEntry; readonly report: RouteReporter }[] = [];
    const breather = new Breather();
    for (const [index, value] of values.entries()) {
      await breather.pause();
      const report: RouteReporter = (pointer, message, options) =>
        problem(`/routes/${index}${pointer}`, message, options);
      found.push({ parsed: this.#parseEntry(value), report });
    }
    return assemble(file, { found, problems });
  }

  #parseEntry(value: unknown): ParsedEntry {
    const issues = this.#route.check(value);
    return {
      route: nameOf(value),
      issues,
      resource: issues.length === 0 ? toRouteResource(value) : undefined,
      references: referencesOf(value, issues),
    };
  }
}

/** A source of entries. With problems of the file as a whole there is none, only more problems. */
async function assemble(
  file: string,
  content: {
    readonly found: readonly { readonly parsed: ParsedEntry; readonly report: RouteReporter }[];
    readonly problems: readonly Problem[];
  },
): Promise<RouteSource> {
  const usable = content.problems.length === 0;
  const problems = [...content.problems];
  const entries: RouteEntry[] = [];
  const breather = new Breather();
  for (const { parsed, report } of content.found) {
    await breather.pause();
    const { route, issues, resource, references } = parsed;
    const wrong = issues.map(({ pointer, message, hint, at }) => report(pointer, message, { hint, at }));
    if (route === undefined || !usable) problems.push(...wrong);
    if (route !== undefined) entries.push({ route, resource, references, problems: wrong, report });
  }
  problems.sort(compareProblems);
  if (!usable) return unusable(file, problems);
  const named = entries.length === content.found.length;
  return { name: file, baseDir: dirname(file), usable, entries, named, problems };
}

/** Turns a problem of a piece into one of its file. */
function pieceReporter(
  document: () => YamlDocument,
  { index, linesBefore }: { readonly index: number; readonly linesBefore: number },
): RouteReporter {
  return (pointer, message, options) => {
    const problem = document().problem(`/0${pointer}`, message, options);
    return { ...problem, line: problem.line + linesBefore, pointer: `/routes/${index}${pointer}` };
  };
}

/** A source of which nothing can be used, and why. */
export function unusable(name: string, problems: readonly Problem[]): RouteSource {
  return { name, baseDir: dirname(name), usable: false, entries: [], named: false, problems };
}

function topSchema(): CompiledSchema {
  const routes = {
    type: "array",
    errorMessage: 'Must be a list of routes; "routes: []" removes every route',
  };
  const { schema } = compileSchema({
    type: "object",
    additionalProperties: false,
    required: ["routes"],
    properties: { routes },
  });
  return schema!;
}

function nameOf(value: unknown): string | undefined {
  const route = (value as { route?: unknown } | null)?.route;
  return typeof route === "string" && route !== "" ? route : undefined;
}

/** Keys of a policy that can be set aside when they are wrong, so that the rest of it is checked all the same. */
const KEYS_BY_THEMSELVES = new Set<string | undefined>([
  "enabled",
  "executionCondition",
  "failureMode",
  "conditionError",
  "onUnbufferable",
  "timeout",
]);

function referencesOf(value: unknown, issues: readonly SchemaIssue[]): Map<number, PolicyReference> {
  const policies = (value as { policies?: unknown } | null)?.policies;
  const list: readonly unknown[] = Array.isArray(policies) ? policies : [];
  const places = issues.map(({ pointer }) => pointer.split("/"));
  const wrong = new Set(places.filter((parts) => !KEYS_BY_THEMSELVES.has(parts[3])).map((parts) => parts[2]));
  const references = new Map<number, PolicyReference>();
  for (const [index, reference] of list.entries()) {
    if (wrong.has(`${index}`)) continue;
    const aside = places.filter((parts) => parts[2] === `${index}`).map((parts) => parts[3]);
    const sound = Object.entries(reference as object).filter(([key]) => !aside.includes(key));
    references.set(index, toPolicyReference(Object.fromEntries(sound) as Partial<PolicyReference>));
  }
  return references;
}

/** Positions are asked for when something is wrong, so a document is not kept for them but read again. */
function weakly<T extends object>(read: () => T): () => T {
  let reference: WeakRef<T> | undefined;
  return () => {
    let held = reference?.deref();
    if (held === undefined) {
      held = read();
      reference = new WeakRef(held);
    }
    return held;
  };
}
