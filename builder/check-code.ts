import { readFile } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { type CodeFault, folderOf, importFault, importFaults, mergeFaults } from "./code-fault.ts";
import { type Diagnostic, parseBundle, parseTypeCheck } from "./diagnostics.ts";
import { importsOf, leadsOut } from "./imports.ts";
import { BUNDLE_MS, CHECK_MS } from "./limits.ts";
import { type GeneratedBy, type RegistrySubject, registrySource } from "./registry-source.ts";
import { bunCommand, run } from "./run.ts";
import { counted, positionOf, quoted } from "./text.ts";
import type { Workspace } from "./workspace.ts";

export interface CheckOptions {
  readonly workspace: Workspace;
  readonly by: GeneratedBy;
  readonly signal: AbortSignal;
}

const REGISTRY = "policies.gen.ts";

/** Type-checks and bundles policies that are in the workspace, and looks at all their imports. */
export async function checkCode(
  subjects: readonly RegistrySubject[],
  options: CheckOptions,
): Promise<CodeFault[]> {
  if (subjects.length === 0) return [];
  const checker = new CodeChecker(subjects, options);
  const typeFaults = await checker.checkTypes();
  const bundleFaults = await checker.bundle();
  return mergeFaults(bundleFaults, typeFaults).map((fault) => ({
    ...fault,
    message: fault.message
      .replaceAll(`${options.workspace.path(fault.folder)}/`, "./")
      .replaceAll(options.workspace.dir, ""),
  }));
}

class CodeChecker {
  readonly #subjects: readonly RegistrySubject[];
  readonly #options: CheckOptions;

  constructor(subjects: readonly RegistrySubject[], options: CheckOptions) {
    this.#subjects = subjects;
    this.#options = options;
  }

  async checkTypes(): Promise<CodeFault[]> {
    const first = await this.#checkTypesOf(this.#subjects);
    if (first.complete) return first.faults;
    // A syntax error anywhere ends the check before types are looked at: check the others without those.
    const broken = new Set(first.faults.map((fault) => fault.folder));
    const others = this.#subjects.filter(({ folder }) => !broken.has(folder));
    if (broken.size === 0 || others.length === 0) return first.faults;
    return [...first.faults, ...(await this.#checkTypesOf(others)).faults];
  }

  async bundle(): Promise<CodeFault[]> {
    const all = await this.#bundleOf(this.#subjects);
    if (all.done) return all.faults;
    const faults: CodeFault[] = [];
    for (const subject of this.#subjects) faults.push(...(await this.#bundleOf([subject])).faults);
    return faults;
  }

  async #checkTypesOf(
    subjects: readonly RegistrySubject[],
  ): Promise<{ complete: boolean; faults: CodeFault[] }> {
    const { workspace, by, signal } = this.#options;
    const source = registrySource(subjects, by);
    await workspace.write(REGISTRY, source.text);
    const config = await workspace.writeTypeCheck([REGISTRY]);
    const command = bunCommand(
      "check",
      "--no-script",
      "--no-pretty",
      "--all",
      "--explainFiles",
      "-p",
      config,
    );
    const result = await run(command, { cwd: workspace.dir, timeoutMs: CHECK_MS, signal });
    if (result.code < 0) throw new Error(`the type check took longer than ${CHECK_MS / 1000} s`);
    const { diagnostics, edges } = parseTypeCheck(result.stdout);
    const faults: CodeFault[] = [];
    const unread = new Set<string>();
    for (const diagnostic of diagnostics) {
      const file = resolve(workspace.dir, diagnostic.file);
      const folder = folderOf(file, { subjects, workspace });
      if (folder !== undefined) {
        const path = relative(workspace.path(folder), file);
        // Dependencies check their own types.
        if (!path.startsWith("node_modules/")) faults.push(await this.#typeFault(folder, path, diagnostic));
      } else if (file === workspace.path(REGISTRY)) {
        const fault = await this.#contractFault(diagnostic, { subjects, source, told: unread });
        if (fault !== undefined) faults.push(fault);
      }
    }
    const absolute = edges.map(({ file, from, specifier }) => ({
      from: resolve(workspace.dir, from),
      to: resolve(workspace.dir, file),
      specifier,
    }));
    faults.push(...(await importFaults(absolute, { subjects, workspace })));
    if (result.code !== 0 && diagnostics.length === 0) {
      throw new Error(`the type check ended with ${result.code}: ${result.stderr.trim().slice(0, 500)}`);
    }
    return { complete: !/Stopped before type checking/.test(result.stderr + result.stdout), faults };
  }

  async #typeFault(folder: string, path: string, diagnostic: Diagnostic): Promise<CodeFault> {
    const { workspace } = this.#options;
    const { line, column, message } = diagnostic;
    const missing = /^TS2307: Cannot find module '(.+?)'/.exec(message)?.[1];
    if (missing !== undefined) {
      const file = workspace.path(folder, path);
      if (leadsOut(missing, { file, folder: workspace.path(folder) })) {
        return { ...(await importFault({ file, folder, specifier: missing, workspace })), line, column };
      }
    }
    return { folder, path, line, column, message: `Type error ${message.replace(/\.$/, "")}` };
  }

  /** What the generated registry says of a policy, at the place of the policy's own export. */
  async #contractFault(
    diagnostic: Diagnostic,
    options: {
      subjects: readonly RegistrySubject[];
      source: ReturnType<typeof registrySource>;
      told: Set<string>;
    },
  ): Promise<CodeFault | undefined> {
    const { subjects, source, told } = options;
    const { line, message } = diagnostic;
    for (const { folder } of subjects) {
      const checkLine = source.lines.get(folder)?.checkLine ?? 0;
      const isFactory = line === checkLine;
      if (!isFactory && line !== checkLine + 1) continue;
      const missing = isFactory && /^TS\d+: Property 'getPolicy' does not exist/.test(message);
      // Without the export the second line fails for the same reason.
      if (!isFactory && told.has(folder)) return undefined;
      if (missing) told.add(folder);
      const name = isFactory ? "getPolicy" : "validate";
      const place = await this.#exportPlace(folder, name);
      const reason = message.replace(/\.$/, "");
      return {
        folder,
        path: "policy.ts",
        ...place,
        message: missing
          ? 'Cannot find "getPolicy": policy.ts has to export it'
          : `Cannot use this ${quoted(name)}: ${reason}`,
        ...(isFactory
          ? { hint: "Write export const getPolicy: PolicyFactory<Params> = (metadata, params) => …" }
          : {}),
      };
    }
    return undefined;
  }

  async #exportPlace(folder: string, name: string): Promise<{ line: number; column: number }> {
    const text = await readFile(this.#options.workspace.path(folder, "policy.ts"), "utf8");
    const declared = new RegExp(
      `^\\s*export\\s+(?:(?:async\\s+)?function\\*?|const|let|var|class)\\s+(?=${name}\\b)`,
      "m",
    );
    const listed = new RegExp(`export\\s*\\{[^}]*?\\b(?=${name}\\s*[,}])`);
    const found = declared.exec(text) ?? listed.exec(text);
    return found === null ? { line: 1, column: 1 } : positionOf(text, found.index + found[0].length);
  }

  async #bundleOf(subjects: readonly RegistrySubject[]): Promise<{ done: boolean; faults: CodeFault[] }> {
    const { workspace, signal } = this.#options;
    const entries = subjects.map(({ folder }) => `./${folder}/policy.ts`);
    const metafile = workspace.path("check.json");
    const flags = ["--target=bun", "--format=esm", "--no-macros", `--metafile=${metafile}`, "--outdir=check"];
    const command = bunCommand("build", ...flags, ...entries);
    const result = await run(command, { cwd: workspace.dir, timeoutMs: BUNDLE_MS, signal });
    if (result.code === 0) {
      const edges = importsOf(JSON.parse(await readFile(metafile, "utf8")), workspace.dir);
      return { done: true, faults: await importFaults(edges, { subjects, workspace }) };
    }
    const faults: CodeFault[] = [];
    for (const diagnostic of parseBundle(`${result.stderr}\n${result.stdout}`)) {
      const file = resolve(workspace.dir, diagnostic.file);
      const folder = folderOf(file, { subjects, workspace });
      const { line, column } = diagnostic;
      const specifier = /^Could not resolve: "(.+?)"/.exec(diagnostic.message)?.[1];
      if (folder === undefined) {
        const owner = subjects[0]?.folder ?? "";
        faults.push({
          folder: owner,
          path: "policy.ts",
          line: 1,
          column: 1,
          message: `Cannot bundle: ${diagnostic.message}`,
        });
      } else if (specifier !== undefined && leadsOut(specifier, { file, folder: workspace.path(folder) })) {
        faults.push({ ...(await importFault({ file, folder, specifier, workspace })), line, column });
      } else {
        faults.push({
          folder,
          path: relative(workspace.path(folder), file),
          line,
          column,
          ...bundleMessage(diagnostic.message),
        });
      }
    }
    if (faults.length === 0) {
      const names = counted(subjects.length, "policy", "policies");
      const said = result.code < 0 ? "it took too long" : result.stderr.trim().slice(0, 500);
      faults.push({
        folder: subjects[0]?.folder ?? "",
        path: "policy.ts",
        line: 1,
        column: 1,
        message: `Cannot bundle ${names}: ${said}`,
      });
    }
    return { done: false, faults };
  }
}

function bundleMessage(message: string): { message: string; hint?: string } {
  if (message === "Macros are disabled") {
    return {
      message: "Cannot run a macro: code of policies does not run at build time",
      hint: "Compute the value in getPolicy",
    };
  }
  return { message: `Cannot bundle: ${message}` };
}
