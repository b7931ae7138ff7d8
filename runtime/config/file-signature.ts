import { realpath, stat } from "node:fs/promises";
import { explainFault } from "./read-text.ts";
import { listRouteFiles, type RouteFileLimits } from "./route-files.ts";

/** Files that are looked at together; a folder on a network must not take every thread for file access. */
const MAX_TOGETHER = 16;

/**
 * What tells one state of the route files from another without reading them: where each really is, and its
 * device, inode, size and times. It works where notifications do not: on network file systems, and when
 * Kubernetes swaps the link that all files of a volume stand behind. Never rejects.
 */
export async function signatureOf(path: string, limits: RouteFileLimits): Promise<string> {
  const list = await listRouteFiles(path, limits);
  if ("reason" in list) return list.reason;
  const parts: string[] = [String(list.folder)];
  for (let index = 0; index < list.files.length; index += MAX_TOGETHER) {
    const together = list.files.slice(index, index + MAX_TOGETHER);
    parts.push(...(await Promise.all(together.map(signatureOfFile))));
  }
  return parts.join("\n");
}

async function signatureOfFile(file: string): Promise<string> {
  try {
    const [real, facts] = await Promise.all([realpath(file), stat(file, { bigint: true })]);
    // The change time tells a change of permission, and a write that sets the old time again.
    const { dev, ino, size, mtimeNs, ctimeNs } = facts;
    return JSON.stringify([file, real, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)]);
  } catch (error) {
    return JSON.stringify([file, explainFault(error)]);
  }
}
