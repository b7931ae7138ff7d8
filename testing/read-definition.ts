import { readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The second name is the one older documents use; a folder has one of them. */
const NAMES = ["policy-definition.yaml", "policy.yaml"] as const;

/**
 * @private The text of a policy definition.
 * @param place The file itself, the folder it is in, or any file that stands beside it, as path or URL.
 */
export function readDefinition(place: string | URL): { file: string; text: string } {
  const path = place instanceof URL || place.startsWith("file:") ? fileURLToPath(place) : place;
  const file = definitionFile(path);
  return { file, text: readFileSync(file, "utf8") };
}

function definitionFile(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  const isDefinition = /\.ya?ml$/.test(basename(path));
  if (isDefinition && stats !== undefined) return path;
  const folder = isDefinition || !stats?.isDirectory() ? dirname(path) : path;
  const found = NAMES.map((name) => join(folder, name)).filter((file) =>
    statSync(file, { throwIfNoEntry: false }),
  );
  if (isDefinition || found.length !== 1) {
    const state =
      isDefinition || found.length === 0 ? "there is none" : `there are both ${NAMES.join(" and ")}`;
    throw new Error(
      `Cannot read the policy definition ${JSON.stringify(path)}: ${state}, one ${NAMES[0]} is needed`,
    );
  }
  return found[0]!;
}
