import type { BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import { explainFault } from "./read-text.ts";
import { listRouteFiles, type RouteFileLimits } from "./route-files.ts";

/** Files that are looked at together; a folder on a network must not take every thread for file access. */
const MAX_TOGETHER = 16;

/**
 * What tells one state of the route files from another without reading them: device, inode, size and times of what
 * each name leads to. It works where notifications do not: on network file systems, and when Kubernetes swaps the link
 * that all files of a volume stand behind. Of a single file it is one look. Never rejects.
 */
export async function signatureOf(path: string, limits: RouteFileLimits): Promise<string> {
  const list = await listRouteFiles(path, limits);
  if ("reason" in list) return list.reason;
  if (!list.folder) return signature(path, list.facts);
  const parts: string[] = [];
  for (let index = 0; index < list.files.length; index += MAX_TOGETHER) {
    const together = list.files.slice(index, index + MAX_TOGETHER);
    parts.push(...(await Promise.all(together.map(signatureOfFile))));
  }
  return parts.join("\n");
}

async function signatureOfFile(file: string): Promise<string> {
  try {
    return signature(file, await stat(file, { bigint: true }));
  } catch (error) {
    return JSON.stringify([file, explainFault(error)]);
  }
}

/** The change time tells a change of permission, and a write that sets the old time again. */
function signature(file: string, { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return JSON.stringify([file, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)]);
}
