import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";

/** Where a secret is kept instead of in the configuration. */
export type SecretReference = { readonly fromFile: string } | { readonly fromEnv: string };

export interface SecretReader {
  /** The secret's text, or why it cannot be had. The problem names the file or variable, never the secret. */
  read(reference: SecretReference): { readonly value: string } | { readonly problem: string };
}

export interface SecretReaderOptions {
  /** Folder that relative paths start from: that of the configuration file. */
  readonly baseDir: string;
  /** Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Largest file that is read as a secret: a key or a certificate chain has a few KiB. */
const MAX_SECRET_BYTES = 64 * 1024;

/** Reads secrets from files (at most 64 KiB, one trailing newline dropped) and environment variables. */
export function createSecretReader({ baseDir, env = process.env }: SecretReaderOptions): SecretReader {
  return {
    read(reference) {
      if ("fromFile" in reference) return readSecretFile(resolve(baseDir, reference.fromFile));
      const value = Object.hasOwn(env, reference.fromEnv) ? env[reference.fromEnv] : undefined;
      const subject = `environment variable ${JSON.stringify(reference.fromEnv)}`;
      if (value === undefined) return { problem: `Cannot read ${subject}: it is not set` };
      return value === "" ? { problem: `Cannot use ${subject}: it is empty` } : { value };
    },
  };
}

function readSecretFile(path: string): { value: string } | { problem: string } {
  const subject = `secret file ${JSON.stringify(path)}`;
  let file: number | undefined;
  try {
    // Opening a pipe would wait for its other end.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(file).isFile()) return { problem: `Cannot read ${subject}: it is not a regular file` };
    const buffer = Buffer.alloc(MAX_SECRET_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(file, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_SECRET_BYTES) {
      return { problem: `Cannot read ${subject}: it has more than ${MAX_SECRET_BYTES} bytes` };
    }
    const text = new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length));
    const value = text.replace(/\r?\n$/, "");
    return value === "" ? { problem: `Cannot use ${subject}: it is empty` } : { value };
  } catch (error) {
    if (error instanceof TypeError) return { problem: `Cannot read ${subject}: it is not UTF-8 text` };
    return { problem: `Cannot read ${subject}: ${reasonOf(error)}` };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return "it does not exist";
  if (code === "EACCES" || code === "EPERM") return "access is denied";
  return code ?? "it cannot be opened";
}
