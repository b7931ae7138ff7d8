import type { BigIntStats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Problem } from "../document/problem.ts";
import { explainFault, readText } from "./read-text.ts";
import { RouteParser, type RouteSet, type RouteSource, unusable } from "./route-source.ts";

/** Bounds of what is read; see `limits` of the engine's configuration. */
export interface RouteFileLimits {
  readonly routeFileBytes: number;
  readonly routeFiles: number;
  readonly routes: number;
}

/** The files behind `routes.path` and the facts about that path, or why they cannot be told. */
export type RouteFileList =
  | { readonly files: readonly string[]; readonly folder: boolean; readonly facts: BigIntStats }
  | { readonly reason: string };

const EXTENSIONS = /\.(?:yaml|yml|json)$/;

/** The route files at a path: the file itself, or those of a folder, sorted by name. Never rejects. */
export async function listRouteFiles(path: string, limits: RouteFileLimits): Promise<RouteFileList> {
  try {
    const facts = await stat(path, { bigint: true });
    if (!facts.isDirectory()) return { files: [path], folder: false, facts };
    // A link counts as what it leads to, which is looked at when it is read; folders are never route files.
    const entries = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.isDirectory());
    const names = entries.map((entry) => entry.name).filter(isRouteFile);
    if (names.length > limits.routeFiles) {
      return { reason: `it has ${names.length} route files, at most ${limits.routeFiles} are allowed` };
    }
    return { files: names.sort().map((name) => join(path, name)), folder: true, facts };
  } catch (error) {
    return { reason: explainFault(error) };
  }
}

/** Hidden files are those of editors, and of Kubernetes (`..data`). */
function isRouteFile(name: string): boolean {
  return EXTENSIONS.test(name) && !name.startsWith(".");
}

/** Reads route files and remembers what they said, so that only files that changed are parsed again. */
export class RouteFiles {
  readonly path: string;
  readonly #limits: RouteFileLimits;
  readonly #parser: RouteParser;
  #known = new Map<string, { text: string; source: RouteSource }>();

  constructor(path: string, limits: RouteFileLimits) {
    this.path = path;
    this.#limits = limits;
    this.#parser = new RouteParser(limits);
  }

  /** Everything at the path. Never rejects: what is wrong is among the problems. */
  async read(): Promise<RouteSet> {
    const list = await listRouteFiles(this.path, this.#limits);
    if ("reason" in list) return refused(problemAt(this.path, this.#describe(list.reason)));
    if (list.files.length === 0) {
      const hint = 'To remove every route keep one file that says "routes: []"';
      return refused(problemAt(this.path, this.#describe("the folder has no route files"), hint));
    }
    const sources: RouteSource[] = [];
    const known = new Map<string, { text: string; source: RouteSource }>();
    let left = this.#limits.routeFileBytes;
    for (const file of list.files) {
      const read = await readText(file, left);
      if ("reason" in read) {
        const message = `Cannot read route file ${JSON.stringify(file)}: ${read.reason}`;
        sources.push(unusable(file, [problemAt(file, message)]));
        continue;
      }
      const { text } = read;
      left -= Buffer.byteLength(text);
      const before = this.#known.get(file);
      const source = before?.text === text ? before.source : await this.#parser.parse(text, file);
      // What could not be read is read again: the thread that reads a large file may have failed.
      if (source.usable) known.set(file, { text, source });
      sources.push(source);
    }
    this.#known = known;
    this.#parser.keep(new Set(list.files));
    return { sources, problems: [] };
  }

  #describe(reason: string): string {
    return `Cannot read routes from ${JSON.stringify(this.path)}: ${reason}`;
  }
}

function refused(problem: Problem): RouteSet {
  return { sources: [], problems: [problem] };
}

function problemAt(file: string, message: string, hint?: string): Problem {
  const problem = { severity: "error", file, line: 1, column: 1, pointer: "", message } as const;
  return hint === undefined ? problem : { ...problem, hint };
}
