import type { PolicyFile } from "./policy-folder.ts";
import { messageOf, positionOf, quoted } from "./text.ts";

export interface PackageFault {
  /** The file it is about, below the policy's folder. */
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint?: string;
}

export interface PackageFacts {
  readonly faults: readonly PackageFault[];
  /** Whether there is anything to install. */
  readonly hasDependencies: boolean;
}

const FILE = "package.json";
/** The lock files that are understood. */
const LOCKS = ["bun.lock", "package-lock.json"];
/** A version, a range or a tag of the registry, or another name there. */
const FROM_REGISTRY = /^(?:npm:[^\s/]*(?:\/[^\s/]+)?|[^:/]*)$/;
/** What would bring in files that the lock file does not hold. */
const REFUSED_KEYS = ["workspaces", "patchedDependencies"];

/** Looks at a policy's own dependencies: from a registry, locked, and not of what the builder supplies. */
export function checkPackageFile(files: readonly PolicyFile[]): PackageFacts {
  const file = files.find((each) => each.path === FILE);
  if (file === undefined) return { faults: [], hasDependencies: false };
  const text = new TextDecoder().decode(file.content);
  const faults: PackageFault[] = [];
  const report = (what: string, message: string, hint?: string): void => {
    const at = what === "" ? 0 : text.indexOf(JSON.stringify(what));
    faults.push({ path: FILE, ...positionOf(text, at), message, ...(hint === undefined ? {} : { hint }) });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    report("", `Cannot read this file as JSON: ${messageOf(error)}`);
    return { faults, hasDependencies: false };
  }
  if (!isRecord(value)) {
    report("", "Cannot read this file: an object is needed");
    return { faults, hasDependencies: false };
  }
  for (const key of REFUSED_KEYS) {
    if (value[key] !== undefined) report(key, `Cannot use ${quoted(key)} in a policy's package.json`);
  }
  const names = ["dependencies", "optionalDependencies"].flatMap((key) =>
    checkRanges(value[key], key, report),
  );
  if (names.length > 0 && !files.some((each) => LOCKS.includes(each.path))) {
    report(
      "dependencies",
      "Cannot install the dependencies: there is no lock file, package-lock.json or bun.lock is needed",
      'Run "npm install --package-lock-only" in the policy\'s folder and keep the file',
    );
  }
  return { faults, hasDependencies: names.length > 0 };
}

function checkRanges(
  value: unknown,
  key: string,
  report: (what: string, message: string, hint?: string) => void,
): string[] {
  if (value === undefined) return [];
  if (!isRecord(value)) {
    report(key, `Cannot read ${quoted(key)}: an object is needed`);
    return [];
  }
  for (const [name, range] of Object.entries(value)) {
    if (name.startsWith("@policy-engine/")) {
      report(name, `Cannot install ${quoted(name)}: the builder supplies it`, "Move it to devDependencies");
    } else if (typeof range !== "string" || !FROM_REGISTRY.test(range)) {
      const needed = "a version from a registry is needed";
      report(name, `Cannot install ${quoted(name)} from ${quoted(range)}: ${needed}`);
    }
  }
  return Object.keys(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
