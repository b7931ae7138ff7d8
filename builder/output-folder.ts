import { constants } from "node:fs";
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  rmdir,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { BINARY } from "./compile.ts";
import { PhaseFailure } from "./phase.ts";
import { messageOf, quoted } from "./text.ts";

/** Files of a build, below the output folder. */
export const OUTPUT = {
  binary: BINARY,
  dockerfile: "Dockerfile",
  definitions: "definitions",
  report: "build-report.json",
} as const;

/** A definition file that we wrote: nothing else is ever removed from the folder. */
const DEFINITION_FILE = /^definitions\/[A-Za-z][A-Za-z0-9-]*-v[0-9][0-9A-Za-z.-]*\.yaml$/;

/** Where a build puts its files: all of them, or none. */
export class OutputFolder {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Removes what an earlier build left, so that a failure leaves no executable to be taken for a new one. */
  async clear(): Promise<void> {
    const place = await lstat(this.#dir).catch(() => undefined);
    if (place === undefined) return;
    const definitions = await this.#earlierDefinitions();
    const files = [OUTPUT.binary, OUTPUT.dockerfile, OUTPUT.report, ...definitions];
    try {
      for (const file of files) await rm(join(this.#dir, file), { force: true });
      if (definitions.length > 0) await rmdir(join(this.#dir, OUTPUT.definitions)).catch(() => undefined);
    } catch (error) {
      throw new PhaseFailure(`Packaging failed: cannot clear ${quoted(this.#dir)}: ${messageOf(error)}`);
    }
  }

  /** Puts the executable and these texts there. Each is written under another name and renamed. */
  async fill(binary: string, texts: Readonly<Record<string, string>>): Promise<void> {
    let staging: string | undefined;
    try {
      await mkdir(this.#dir, { recursive: true });
      staging = await mkdtemp(join(this.#dir, ".policy-builder-"));
      const names = Object.keys(texts);
      for (const [index, name] of names.entries())
        await writeFile(join(staging, `${index}`), texts[name] ?? "");
      const staged = join(staging, OUTPUT.binary);
      await copyFile(binary, staged, constants.COPYFILE_FICLONE);
      await chmod(staged, 0o755);
      for (const [index, name] of names.entries()) {
        const file = join(this.#dir, name);
        await mkdir(dirname(file), { recursive: true });
        await rename(join(staging, `${index}`), file);
      }
      // Last: where there is an executable, everything else is there too.
      await rename(staged, join(this.#dir, OUTPUT.binary));
    } catch (error) {
      await this.#undo(Object.keys(texts));
      throw new PhaseFailure(`Packaging failed: cannot write to ${quoted(this.#dir)}: ${messageOf(error)}`);
    } finally {
      if (staging !== undefined) await rm(staging, { recursive: true, force: true });
    }
  }

  async #undo(names: readonly string[]): Promise<void> {
    for (const name of [OUTPUT.binary, ...names]) {
      await rm(join(this.#dir, name), { force: true }).catch(() => undefined);
    }
    await rmdir(join(this.#dir, OUTPUT.definitions)).catch(() => undefined);
  }

  async #earlierDefinitions(): Promise<string[]> {
    try {
      const report = JSON.parse(await readFile(join(this.#dir, OUTPUT.report), "utf8"));
      const listed: unknown = report.artifacts?.definitions;
      if (!Array.isArray(listed)) return [];
      return listed.filter((file): file is string => typeof file === "string" && DEFINITION_FILE.test(file));
    } catch {
      return [];
    }
  }
}
