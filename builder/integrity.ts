import { createHash } from "node:crypto";
import type { PolicyFile } from "./policy-folder.ts";

/**
 * A digest over a policy's files: `sha256-` and the SHA-256, in hexadecimal, of one line a file, sorted by path:
 * the SHA-256 of its content, two blanks, its path. That is `sha256sum` of the output of `sha256sum`.
 */
export function integrityOf(files: readonly PolicyFile[], except: readonly string[] = []): string {
  const digest = createHash("sha256");
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { path, content } of sorted) {
    if (except.includes(path)) continue;
    // A line break in a name could otherwise be read as a second line.
    const name = JSON.stringify(path).slice(1, -1);
    digest.update(`${createHash("sha256").update(content).digest("hex")}  ${name}\n`);
  }
  return `sha256-${digest.digest("hex")}`;
}
