import { dirname } from "node:path";
import { compareProblems, type Problem } from "../document/problem.ts";
import { type CompiledSchema, compileSchema, type SchemaIssue } from "../document/schema.ts";
import { parseYaml, type YamlDocument } from "../document/yaml-document.ts";
import {
  type PolicyReference,
  type RouteReporter,
  type RouteResource,
  routeSchema,
  toPolicyReference,
  toRouteResource,
} from "./route-resource.ts";

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

/** Parses route files; make one for many files. */
export class RouteParser {
  readonly #route = routeSchema();
  readonly #top = topSchema();
  readonly #limits: { readonly routeFileBytes: number; readonly routes: number };

  /** @param limits `limits.routeFileBytes` and `limits.routes` of the engine's configuration. */
  constructor(limits: { readonly routeFileBytes: number; readonly routes: number }) {
    this.#limits = limits;
  }

  /** What a text says. Never throws. */
  parse(text: string, file: string): RouteSource {
    const read = (): YamlDocument => parseYaml(text, file, { bytes: this.#limits.routeFileBytes });
    const document = read();
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
    const usable = problems.length === 0;
    const again = weakly(document, read);
    const entries: RouteEntry[] = [];
    for (const [index, value] of values.entries()) {
      const report: RouteReporter = (pointer, message, options) =>
        again().problem(`/routes/${index}${pointer}`, message, options);
      const issues = this.#route.check(value);
      const found = issues.map(({ pointer, message, hint, at }) => report(pointer, message, { hint, at }));
      const route = nameOf(value);
      if (route === undefined || !usable) problems.push(...found);
      if (route === undefined) continue;
      const resource = found.length === 0 ? toRouteResource(value) : undefined;
      entries.push({ route, resource, references: referencesOf(value, issues), problems: found, report });
    }
    problems.sort(compareProblems);
    if (!usable) return unusable(file, problems);
    const named = entries.length === values.length;
    return { name: file, baseDir: dirname(file), usable, entries, named, problems };
  }
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

function referencesOf(value: unknown, issues: readonly SchemaIssue[]): Map<number, PolicyReference> {
  const { policies } = value as { policies?: unknown };
  const list: readonly unknown[] = Array.isArray(policies) ? policies : [];
  const wrong = new Set(issues.map(({ pointer }) => pointer.split("/", 3).join("/")));
  const references = new Map<number, PolicyReference>();
  for (const [index, reference] of list.entries()) {
    if (wrong.has(`/policies/${index}`)) continue;
    references.set(index, toPolicyReference(reference as Partial<PolicyReference>));
  }
  return references;
}

/** Positions are asked for when something is wrong, so a large document is not kept for them but read again. */
function weakly<T extends object>(value: T, again: () => T): () => T {
  let reference = new WeakRef(value);
  return () => {
    let held = reference.deref();
    if (held === undefined) {
      held = again();
      reference = new WeakRef(held);
    }
    return held;
  };
}
