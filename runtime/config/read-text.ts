import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";

/** The text of a file, or what keeps it from being read. */
export type ReadText = { readonly text: string } | { readonly reason: string };

/** What a reader needs of a file before it opens it. */
export interface FileFacts {
  readonly size: number;
  isFile(): boolean;
}

/** Reads a regular file of UTF-8 of at most so many bytes. Never rejects, and never waits for a pipe or device. */
export async function readText(path: string, maxBytes: number): Promise<ReadText> {
  let handle: FileHandle | undefined;
  try {
    const refused = refusal(await stat(path), maxBytes);
    if (refused !== undefined) return { reason: refused };
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // One byte more than allowed tells a file that has grown since.
    const buffer = Buffer.allocUnsafe(Math.min((await handle.stat()).size, maxBytes) + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length === buffer.length) return { reason: "it is being written" };
    return decodeText(buffer.subarray(0, length));
  } catch (error) {
    return { reason: explainFault(error) };
  } finally {
    await handle?.close().catch(() => undefined);
  }
}

/** Why a file cannot be read as text, if that is plain without opening it. */
export function refusal(facts: FileFacts, maxBytes: number): string | undefined {
  if (!facts.isFile()) return "it is not a regular file";
  return facts.size > maxBytes ? `it has ${facts.size} bytes, at most ${maxBytes} are allowed` : undefined;
}

/** Bytes as text; a byte order mark is dropped, bytes that are not UTF-8 are refused. */
export function decodeText(bytes: Uint8Array): ReadText {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { reason: "it is not UTF-8" };
  }
}

/** What a failed system call means, in words. */
export function explainFault(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  switch (code) {
    case "ENOENT":
      return "it does not exist";
    case "ENOTDIR":
      return "a part of its path is not a folder";
    case "EACCES":
    case "EPERM":
      return "the permission to read it is missing";
    case "EISDIR":
      return "it is a folder";
    case "ELOOP":
      return "its symbolic links lead in a circle";
    default:
      return code === undefined ? "it cannot be read" : `it cannot be read (${code})`;
  }
}
