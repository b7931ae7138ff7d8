import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { suggest } from "../runtime/document/nearest.ts";
import { parseYaml, type YamlDocument } from "../runtime/document/yaml-document.ts";
import { MANIFEST_BYTES, POLICIES, URI_CHARACTERS } from "./limits.ts";
import { type BuildProblem, fileProblem } from "./phase.ts";
import { messageOf, quoted } from "./text.ts";

/** A policy that is asked for. */
export interface PolicyReference {
  /** Undefined: whatever the definition says. */
  readonly name: string | undefined;
  readonly version: string | undefined;
  /** The folder, absolute. */
  readonly dir: string;
  /** The folder as it was named. */
  readonly sourcePath: string;
  /** Makes a problem at the place where the policy is asked for. */
  problem(key: "name" | "version" | "uri", message: string, hint?: string): BuildProblem;
}

export interface Manifest {
  readonly references: readonly PolicyReference[];
  readonly problems: readonly BuildProblem[];
  /** `sha256-…` over the text. */
  readonly hash: string;
}

const KEYS = ["version", "policies"];
const ENTRY_KEYS = ["name", "uri", "version"];

/** Reads a manifest; every problem is collected. `shown` is the file's name in problems. */
export async function readManifest(file: string, shown: string): Promise<Manifest> {
  let text: string;
  try {
    const { size } = await stat(file);
    // Asked before it is read: what is not a manifest can have any size.
    if (size > MANIFEST_BYTES) {
      return refused(shown, `it has ${size} bytes, at most ${MANIFEST_BYTES} are allowed`);
    }
    text = await readFile(file, "utf8");
  } catch (error) {
    return refused(shown, reasonOf(error));
  }
  const hash = hashOf(text);
  const document = parseYaml(text, shown, { bytes: MANIFEST_BYTES });
  if (document.problems.length > 0) {
    return { references: [], problems: document.problems.map((each) => ({ ...each, policy: shown })), hash };
  }
  const problems: BuildProblem[] = [];
  const report: Report = (pointer, message, options) => {
    problems.push({ ...document.problem(pointer, message, options), policy: shown });
  };
  const entries = checkManifest(document.value, report);
  const references = entries.flatMap((entry, index) => {
    const reference = readEntry(entry, { index, base: dirname(file), document, shown, report });
    return reference === undefined ? [] : [reference];
  });
  return { references, problems, hash };
}

/** `sha256-` and the digest of a text in hexadecimal. */
export function hashOf(text: string | Uint8Array): string {
  return `sha256-${createHash("sha256").update(text).digest("hex")}`;
}

type Report = (
  pointer: string,
  message: string,
  options?: { hint?: string | undefined; at?: "key" | "value" },
) => void;

function refused(shown: string, reason: string): Manifest {
  const message = `Cannot read the manifest ${quoted(shown)}: ${reason}`;
  return { references: [], problems: [fileProblem(shown, shown, { message })], hash: hashOf("") };
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EISDIR") return "it is a folder, a file is needed";
  return messageOf(error);
}

function checkManifest(value: unknown, report: Report): readonly unknown[] {
  if (!isRecord(value)) {
    report("", 'Cannot read the manifest: "version" and "policies" are needed');
    return [];
  }
  unknownKeys(value, { allowed: KEYS, pointer: "", report });
  if (value.version === undefined) {
    report("", 'Cannot read the manifest: "version" is missing', { hint: "Write version: v1" });
  } else if (value.version !== "v1") {
    report("/version", `Cannot read a manifest of version ${quoted(value.version)}: "v1" is needed`);
  }
  const { policies } = value;
  if (!Array.isArray(policies)) {
    const at = policies === undefined ? "" : "/policies";
    report(
      at,
      `Cannot read the manifest: "policies" ${policies === undefined ? "is missing" : "is not a list"}`,
      {
        hint: "Write policies: [] for an engine without policies",
      },
    );
    return [];
  }
  if (policies.length > POLICIES) {
    report("/policies", `Cannot build ${policies.length} policies: at most ${POLICIES} are allowed`);
    return [];
  }
  return policies;
}

interface EntryPlace {
  readonly index: number;
  readonly base: string;
  readonly document: YamlDocument;
  readonly shown: string;
  readonly report: Report;
}

function readEntry(entry: unknown, place: EntryPlace): PolicyReference | undefined {
  const { index, base, document, shown, report } = place;
  const pointer = `/policies/${index}`;
  if (!isRecord(entry)) {
    report(pointer, 'Cannot read this policy: "name" and "uri" are needed');
    return undefined;
  }
  unknownKeys(entry, { allowed: ENTRY_KEYS, pointer, report });
  const texts: Record<string, string> = {};
  for (const key of ENTRY_KEYS) {
    const value = entry[key];
    if (typeof value === "string" && value !== "") texts[key] = value;
    else if (value !== undefined) {
      report(`${pointer}/${key}`, `Cannot use ${quoted(value)} as "${key}": a text is needed`);
    } else if (key !== "version") {
      report(pointer, `Cannot read this policy: "${key}" is missing`);
    }
  }
  const { name, version, uri } = texts;
  if (uri === undefined) return undefined;
  const dir = folderOf(uri, base);
  if ("reason" in dir) {
    report(`${pointer}/uri`, `Cannot use ${quoted(uri)}: ${dir.reason}`);
    return undefined;
  }
  return {
    name,
    version,
    dir: dir.path,
    sourcePath: uri,
    problem: (key, message, hint) => ({
      ...document.problem(`${pointer}/${key}`, message, { hint }),
      policy: shown,
    }),
  };
}

function folderOf(uri: string, base: string): { path: string } | { reason: string } {
  if (uri.length > URI_CHARACTERS) return { reason: `at most ${URI_CHARACTERS} characters are allowed` };
  if (uri.includes("\0")) return { reason: "a path cannot contain NUL" };
  if (uri.startsWith("file:")) {
    try {
      if (uri.startsWith("file:/")) return { path: fileURLToPath(uri) };
      return { path: resolve(base, decodeURIComponent(uri.slice("file:".length))) };
    } catch (error) {
      return { reason: messageOf(error) };
    }
  }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(uri)?.[1];
  if (scheme === undefined) return { path: resolve(base, uri) };
  if (/^(?:npm|git|git\+.*)$/.test(scheme)) {
    return { reason: `"${scheme}:" is not supported yet, a folder is needed` };
  }
  return { reason: `"${scheme}:" is not supported, a folder is needed` };
}

function unknownKeys(
  value: Readonly<Record<string, unknown>>,
  options: { allowed: readonly string[]; pointer: string; report: Report },
): void {
  const { allowed, pointer, report } = options;
  for (const key of Object.keys(value)) {
    if (allowed.includes(key)) continue;
    const near = suggest(key, allowed);
    const step = key.replaceAll("~", "~0").replaceAll("/", "~1");
    report(`${pointer}/${step}`, `Cannot use ${quoted(key)}: there is no such key`, {
      hint: near ?? `Keys are ${allowed.join(", ")}`,
      at: "key",
    });
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
