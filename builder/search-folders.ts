import { type Dirent, existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { POLICIES, SEARCH_DEPTH, SEARCH_FOLDERS } from "./limits.ts";
import { hashOf, type Manifest, type PolicyReference } from "./manifest.ts";
import { type BuildProblem, fileProblem } from "./phase.ts";
import { DEFINITION_NAMES } from "./policy-folder.ts";
import { messageOf, quoted, shownPath } from "./text.ts";

/**
 * Finds every folder with a policy definition below these. Hidden folders, `node_modules` and symbolic links
 * are not looked into, and neither is the inside of a policy.
 */
export async function searchFolders(dirs: readonly string[], cwd: string): Promise<Manifest> {
  const search: Search = { cwd, references: [], problems: [], folders: 0 };
  for (const dir of dirs) {
    const path = resolve(cwd, dir);
    if (search.references.some((known) => known.dir === path)) continue;
    await searchFolder(search, { path, named: dir, depth: 0 });
  }
  const { references, problems } = search;
  references.sort((a, b) => (a.sourcePath < b.sourcePath ? -1 : 1));
  if (references.length === 0 && problems.length === 0) {
    const message = `Found no policy below ${dirs.map((dir) => quoted(dir)).join(", ")}: the engine is built without policies`;
    problems.push(fileProblem(dirs.join(", "), dirs[0] ?? "", { message, severity: "warning" }));
  }
  if (references.length > POLICIES) {
    const message = `Cannot build ${references.length} policies: at most ${POLICIES} are allowed`;
    problems.push(fileProblem(dirs.join(", "), dirs[0] ?? "", { message }));
  }
  return { references, problems, hash: hashOf(references.map((each) => each.sourcePath).join("\n")) };
}

interface Search {
  readonly cwd: string;
  readonly references: PolicyReference[];
  readonly problems: BuildProblem[];
  folders: number;
}

interface Folder {
  readonly path: string;
  /** As the user named it, and below that. */
  readonly named: string;
  readonly depth: number;
}

async function searchFolder(search: Search, folder: Folder): Promise<void> {
  const { path, named, depth } = folder;
  const shown = shownPath(path, search.cwd);
  const report = (message: string, severity: "error" | "warning" = "error"): void => {
    search.problems.push(fileProblem(shown, shown, { message, severity }));
  };
  search.folders += 1;
  if (search.folders > SEARCH_FOLDERS) {
    // Said once; the folders that are still open end here too.
    if (search.folders === SEARCH_FOLDERS + 1) report(`Cannot look into more than ${SEARCH_FOLDERS} folders`);
    return;
  }
  let entries: Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    report(`Cannot look into ${quoted(named)}: ${missing ? "there is no such folder" : messageOf(error)}`);
    return;
  }
  if (DEFINITION_NAMES.some((name) => existsSync(join(path, name)))) {
    search.references.push({
      name: undefined,
      version: undefined,
      dir: path,
      sourcePath: named,
      problem: (_key, message, hint) => fileProblem(shown, shown, { message, hint }),
    });
    return;
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    if (entry.isSymbolicLink()) {
      const target = shownPath(join(path, entry.name), search.cwd);
      const message = "Did not follow this symbolic link: policies are found in folders only";
      search.problems.push(fileProblem(target, target, { message, severity: "warning" }));
    } else if (entry.isDirectory() && depth >= SEARCH_DEPTH) {
      report(`Did not look deeper than ${SEARCH_DEPTH} folders below a --policies-dir`, "warning");
      return;
    } else if (entry.isDirectory()) {
      await searchFolder(search, {
        path: join(path, entry.name),
        named: `${named.replace(/\/+$/, "")}/${entry.name}`,
        depth: depth + 1,
      });
    }
  }
}
