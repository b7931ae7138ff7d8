import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { PolicyFile } from "./policy-folder.ts";

/** The folder of policy-engine that this builder is part of. */
export const ENGINE_DIR = dirname(import.meta.dir);

/** What the code of policies can count on, beside their own files; all of it comes with the builder. */
const SUPPLIED_TYPES = ["@types/bun", "bun-types"];

/** The correctness options of the engine's own tsconfig; what is only style is the author's to choose. */
const COMPILER_OPTIONS = {
  target: "esnext",
  lib: ["esnext"],
  module: "preserve",
  moduleResolution: "bundler",
  moduleDetection: "force",
  types: ["bun"],
  noEmit: true,
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  isolatedModules: true,
  // A policy may keep helpers in JavaScript; they are not checked.
  allowJs: true,
  resolveJsonModule: true,
  allowImportingTsExtensions: true,
  noUncheckedSideEffectImports: true,
  forceConsistentCasingInFileNames: true,
  skipLibCheck: true,
};

export interface WorkspaceOptions {
  /** The folder to make it in; made when it is not there. Default: the system's folder for temporary files. */
  readonly parent: string | undefined;
  /** Leaves it there in the end. */
  readonly keep: boolean;
  readonly cwd: string;
  /** The folder of the engine's code. */
  readonly runtime: string;
}

/** The folder that everything is copied to and built in, so that nothing is written into policies. */
export class Workspace {
  readonly dir: string;
  readonly #keep: boolean;
  /** Folders that this workspace made, and that go with it. */
  readonly #made: string;

  readonly #runtime: string;

  private constructor(dir: string, options: { keep: boolean; made: string; runtime: string }) {
    this.dir = dir;
    this.#runtime = options.runtime;
    this.#keep = options.keep;
    this.#made = options.made;
  }

  /** Makes a new folder, inside `parent` or the system's folder for temporary files. */
  static async create(options: WorkspaceOptions): Promise<Workspace> {
    const { parent, keep, cwd, runtime } = options;
    const base = parent === undefined ? tmpdir() : resolve(cwd, parent);
    const made = existsSync(base) ? "" : await mkdir(base, { recursive: true });
    // The real path: the bundler and the type checker report that one.
    const dir = await realpath(await mkdtemp(join(base, "policy-builder-")));
    const workspace = new Workspace(dir, { keep, made: made ?? "", runtime });
    try {
      await workspace.#supply();
    } catch (error) {
      await workspace.remove();
      throw error;
    }
    return workspace;
  }

  /** Removes the folder, unless it is to be kept. */
  async remove(): Promise<void> {
    if (this.#keep) return;
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
    if (this.#made !== "") await rm(this.#made, { recursive: true, force: true });
  }

  path(...below: readonly string[]): string {
    return join(this.dir, ...below);
  }

  /** Writes a file of this workspace, with the folders it needs. */
  async write(below: string, content: string | Uint8Array): Promise<void> {
    const file = this.path(below);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }

  /** Copies a policy's files to a folder of this workspace. */
  async copyPolicy(below: string, files: readonly PolicyFile[]): Promise<void> {
    for (const file of files) await this.write(`${below}/${file.path}`, file.content);
  }

  async #supply(): Promise<void> {
    // Marks the top of what packages belong to; without it tools would look further up.
    await this.write("package.json", `${JSON.stringify({ name: "build", private: true, type: "module" })}\n`);
    await this.link(join(ENGINE_DIR, "sdk"), "@policy-engine/sdk");
    // For the generated files only; imports of policies are checked.
    await this.link(this.#runtime, "@policy-engine/runtime");
    for (const name of SUPPLIED_TYPES) {
      await this.link(join(ENGINE_DIR, "node_modules", name), name);
    }
  }

  async link(target: string, name: string): Promise<void> {
    const file = this.path("node_modules", name);
    await mkdir(dirname(file), { recursive: true });
    await symlink(await realpath(target), file);
  }

  /** Writes the configuration for a type check of these files. */
  async writeTypeCheck(files: readonly string[]): Promise<string> {
    await this.write(
      "tsconfig.json",
      `${JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files }, null, 2)}\n`,
    );
    return this.path("tsconfig.json");
  }
}
