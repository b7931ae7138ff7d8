import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export { existsSync } from "node:fs";

const made: string[] = [];

/** A new empty folder, removed by {@link removeFolders}. */
export function temporaryFolder(name = "builder-test-"): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), name)));
  made.push(dir);
  return dir;
}

/** Removes what {@link temporaryFolder} made; for `afterAll`. */
export function removeFolders(): void {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true });
}

/** Writes files below a folder, with the folders they need. */
export function writeFiles(dir: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    const file = join(dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

/** The files of a policy that does nothing, below `dir`. */
export function plainPolicy(dir: string, name: string, version = "v1.0.0"): Record<string, string> {
  return {
    [`${dir}/policy-definition.yaml`]: `name: ${name}\nversion: ${version}\n`,
    [`${dir}/policy.ts`]: PLAIN_POLICY,
  };
}

/** The smallest policy that is one. */
export const PLAIN_POLICY = `import type { PolicyFactory } from "@policy-engine/sdk";

export const getPolicy: PolicyFactory = () => ({ onRequest: () => undefined });
`;

/** A manifest of these folders, by name. */
export function manifestOf(uris: Readonly<Record<string, string>>): string {
  const entries = Object.entries(uris).map(
    ([name, uri]) => `  - { name: ${name}, uri: ${JSON.stringify(uri)} }\n`,
  );
  return `version: v1\npolicies:${entries.length === 0 ? " []" : ""}\n${entries.join("")}`;
}
