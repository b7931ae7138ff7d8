import { access, chmod, constants, lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";

/** Where a server listens. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** The address as people write it: `host:port`, `[v6]:port` or `unix:/path`. */
export function formatAddress(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const { host, port } = address;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Makes way for a Unix socket: removes the file of one that nobody listens on any more.
 * @throws {Error} If somebody does, if the file is not a socket, or if its folder cannot be written to.
 */
export async function claimSocket(path: string): Promise<void> {
  const folder = dirname(path);
  await access(folder, constants.W_OK | constants.X_OK).catch((cause: unknown) => {
    throw new Error(`Cannot listen on "unix:${path}": folder "${folder}" is missing or not writable`, {
      cause,
    });
  });
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined) return;
  if (!stat.isSocket())
    throw new Error(`Cannot listen on "unix:${path}": the file exists and is not a socket`);
  if (await isAlive(path)) throw new Error(`Cannot listen on "unix:${path}": another process listens there`);
  await unlink(path);
}

/** Runs what makes a socket's file so that the file has mode 0600 from its first moment. */
export async function withPrivateFiles<T>(path: string, make: () => Promise<T>): Promise<T> {
  const before = process.umask(0o177);
  try {
    const made = await make();
    await chmod(path, 0o600);
    return made;
  } finally {
    process.umask(before);
  }
}

/** A socket that this process may not connect to counts as alive. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED"));
  });
}
