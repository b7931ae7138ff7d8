import { isIPv6 } from "node:net";

/** Where a server of the engine listens. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly text: string }
  | { readonly kind: "unix"; readonly path: string; readonly text: string };

/** How an address is written, for messages. */
export const ADDRESS_FORM =
  'HOST:PORT, such as 127.0.0.1:9001 or [::1]:9001, or "unix:" and an absolute path';

/** The kernel's bound for a socket's path, with its final zero byte. */
const MAX_SOCKET_PATH = 107;

/** An address such as `0.0.0.0:9001`, `[::]:9001`, `localhost:0` or `unix:/run/x.sock`; undefined when none. */
export function parseAddress(text: unknown): Address | undefined {
  if (typeof text !== "string") return undefined;
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (!path.startsWith("/") || path.endsWith("/") || path.includes("\0")) return undefined;
    return Buffer.byteLength(path) > MAX_SOCKET_PATH ? undefined : { kind: "unix", path, text };
  }
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9][A-Za-z0-9.-]{0,252})):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, ipv6, name, digits] = match;
  const port = Number(digits);
  if (port > 65_535 || (ipv6 !== undefined && !isIPv6(ipv6))) return undefined;
  return { kind: "tcp", host: ipv6 ?? name!, port, text };
}

/** Whether two servers cannot both have these addresses. Port 0 is any free port, so it never collides. */
export function collide(a: Address, b: Address): boolean {
  if (a.kind === "unix" || b.kind === "unix") {
    return a.kind === "unix" && b.kind === "unix" && a.path === b.path;
  }
  if (a.port !== b.port || a.port === 0) return false;
  return a.host === b.host || isAny(a.host) || isAny(b.host);
}

function isAny(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
