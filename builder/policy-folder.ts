import type { Dirent } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { POLICY_BYTES, POLICY_DEPTH, POLICY_FILES } from "./limits.ts";
import { messageOf, Refusal } from "./text.ts";

/** One file of a policy, as it was read. */
export interface PolicyFile {
  /** Below the policy's folder, with `/`. */
  readonly path: string;
  readonly content: Uint8Array;
}

/** The names a definition may have; 001 calls it `policy.yaml`. */
export const DEFINITION_NAMES: readonly string[] = ["policy-definition.yaml", "policy.yaml"];

/** What would change how the engine's own tools treat a policy, or is not part of it. */
const LEFT_OUT = /^(?:tsconfig.*\.json|jsconfig.*\.json|bunfig\.toml|.*\.test\.[cm]?[jt]sx?)$/;

interface Reading {
  readonly root: string;
  readonly files: PolicyFile[];
  readonly faults: FolderFault[];
  bytes: number;
}

export interface FolderFault {
  /** Below the policy's folder; empty for the folder itself. */
  readonly path: string;
  readonly message: string;
}

/**
 * Reads a policy's files: not its dependencies, its tests, hidden files and configuration of tools. Nothing
 * outside of the folder is read: a symbolic link that leads out is a fault.
 */
export async function readPolicyFolder(dir: string): Promise<{ files: PolicyFile[]; faults: FolderFault[] }> {
  const reading: Reading = { root: await realpath(dir), files: [], faults: [], bytes: 0 };
  try {
    await readFolder(reading, "", 1);
  } catch (error) {
    const message =
      error instanceof Refusal ? error.message : `Cannot read the policy's folder: ${messageOf(error)}`;
    reading.faults.push({ path: "", message });
  }
  reading.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files: reading.files, faults: reading.faults };
}

/** Whether a policy can have it; the name alone decides. */
export function isLeftOut(name: string): boolean {
  return name === "node_modules" || name.startsWith(".") || LEFT_OUT.test(name);
}

async function readFolder(reading: Reading, below: string, depth: number): Promise<void> {
  const entries = await readdir(join(reading.root, below), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (isLeftOut(entry.name)) continue;
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (!entry.isDirectory()) {
      await readEntry(reading, path, entry);
    } else if (depth >= POLICY_DEPTH) {
      reading.faults.push({
        path,
        message: `Cannot read this folder: at most ${POLICY_DEPTH} may be inside each other`,
      });
    } else {
      await readFolder(reading, path, depth + 1);
    }
  }
}

async function readEntry(reading: Reading, path: string, entry: Dirent): Promise<void> {
  const fault = (message: string): void => void reading.faults.push({ path, message });
  let place = join(reading.root, path);
  if (entry.isSymbolicLink()) {
    try {
      place = await realpath(place);
    } catch {
      fault("Cannot follow this symbolic link: it leads nowhere");
      return;
    }
    if (!place.startsWith(reading.root + sep)) {
      fault(
        "Cannot follow this symbolic link: it leads out of the policy's folder, a copy of the file is needed",
      );
      return;
    }
  } else if (!entry.isFile()) {
    fault("Cannot use this file: it is neither a file nor a folder");
    return;
  }
  const found = await stat(place);
  if (!found.isFile()) {
    fault("Cannot follow this symbolic link: it leads to a folder, only links to files are supported");
    return;
  }
  reading.bytes += found.size;
  if (reading.bytes > POLICY_BYTES || reading.files.length >= POLICY_FILES) throw tooLarge();
  const content = await readFile(place);
  reading.bytes += Math.max(0, content.length - found.size);
  reading.files.push({ path, content });
}

function tooLarge(): Refusal {
  const mebibytes = POLICY_BYTES / 1024 / 1024;
  return new Refusal(
    `Cannot read the policy's folder: at most ${POLICY_FILES} files and ${mebibytes} MiB are allowed`,
  );
}
