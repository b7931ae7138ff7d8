import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { type ImportEdge, isInside } from "./imports.ts";
import type { RegistrySubject } from "./registry-source.ts";
import { positionOf, quoted } from "./text.ts";
import { ENGINE_DIR, type Workspace } from "./workspace.ts";

/** Something wrong with a file of a policy. */
export interface CodeFault {
  /** The policy's folder in the workspace. */
  readonly folder: string;
  /** Below the policy's folder. */
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint?: string;
}

const ESCAPE_HINT = "Copy the file into the policy's folder, or add a locked dependency";

/** The faults of imports, as positions in the policies' files; also for the final bundle. */
export async function importFaults(
  edges: readonly ImportEdge[],
  options: { subjects: readonly RegistrySubject[]; workspace: Workspace },
): Promise<CodeFault[]> {
  const { subjects, workspace } = options;
  const faults: CodeFault[] = [];
  for (const { from, to, specifier } of edges) {
    const folder = folderOf(from, { subjects, workspace });
    if (folder === undefined) continue;
    if (isInside(to, workspace.path(folder)) || isSupplied(to, workspace)) continue;
    faults.push(await importFault({ file: from, folder, specifier, workspace }));
  }
  return faults;
}

/** The fault of an import that leads out, where it is written. */
export async function importFault(options: {
  file: string;
  folder: string;
  specifier: string;
  workspace: Workspace;
}): Promise<CodeFault> {
  const { file, folder, specifier, workspace } = options;
  const text = await readFile(file, "utf8").catch(() => "");
  const quotedAt = ['"', "'", "`"]
    .map((quote) => text.indexOf(quote + specifier + quote))
    .filter((at) => at >= 0);
  const place = quotedAt.length === 0 ? { line: 1, column: 1 } : positionOf(text, Math.min(...quotedAt));
  return {
    folder,
    path: relative(workspace.path(folder), file),
    ...place,
    message: `Cannot import ${quoted(specifier)}: it leads out of the policy's folder`,
    hint: ESCAPE_HINT,
  };
}

/** The folder of the policy that a file of the workspace belongs to. */
export function folderOf(
  file: string,
  options: { subjects: readonly RegistrySubject[]; workspace: Workspace },
): string | undefined {
  const { subjects, workspace } = options;
  return subjects.find(({ folder }) => isInside(file, workspace.path(folder)))?.folder;
}

/** The SDK, and types of what every program has. */
function isSupplied(file: string, workspace: Workspace): boolean {
  if (file === join(ENGINE_DIR, "sdk", "index.ts")) return true;
  const supplied = ["@types", "bun-types", "undici-types"].map((name) =>
    join(ENGINE_DIR, "node_modules", name),
  );
  // The type checker's own library has no path of a file.
  return (
    supplied.some((folder) => isInside(file, folder)) ||
    /^\/?bundled:|\/lib\.[\w.]+\.d\.ts$/.test(relative(workspace.dir, file))
  );
}

/** One fault a line and kind: the bundler's and the type checker's findings about one import are one. */
export function mergeFaults(first: readonly CodeFault[], second: readonly CodeFault[]): CodeFault[] {
  const merged = new Map<string, CodeFault>();
  const escapes = new Set<string>();
  const place = (fault: CodeFault): string => `${fault.folder}/${fault.path}:${fault.line}`;
  for (const fault of [...first, ...second]) {
    if (fault.message.startsWith("Cannot import ")) escapes.add(place(fault));
  }
  const typed = new Set(second.map(place));
  for (const fault of [...second, ...first]) {
    const isEscape = fault.message.startsWith("Cannot import ");
    if (fault.message.includes("TS2307") && escapes.has(place(fault))) continue;
    // The type checker says it better.
    if (fault.message.startsWith("Cannot bundle") && typed.has(place(fault))) continue;
    const key = `${place(fault)}:${isEscape ? fault.message : `${fault.column}:${fault.message}`}`;
    if (!merged.has(key)) merged.set(key, fault);
  }
  return [...merged.values()];
}
