// What the header block of a request says, checked (RFC 9113 sections 8.2 and 8.3, gRPC over HTTP/2).
import type { StreamAcceptor, StreamMetadata } from "../transport.ts";
import type { HeaderList } from "./hpack/decoder.ts";
import type { TableEntry } from "./hpack/table.ts";

/** The acceptor of each method, by its gRPC path. */
export type Services = ReadonlyMap<string, StreamAcceptor>;

/** What becomes of a request. `unknown` is gRPC for a method that nobody serves. */
type Verdict = "accept" | "malformed" | "too_large" | "not_grpc" | "unknown";

/** Headers that speak of one HTTP/1 connection (RFC 9113 section 8.2.2). */
const CONNECTION_HEADERS = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
const REQUEST_PSEUDO_HEADERS = new Set([":method", ":scheme", ":authority", ":path"]);
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** NUL, CR, LF, and blanks at the ends. */
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;
const NOT_ASCII = /[\x80-\xff]/;
const GRPC_TYPE = /^application\/grpc(?:\+proto)?(?:;|$)/i;
const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000001,
};

/** Never changes, so that streams that began with the same bytes share one. */
export class RequestHead implements StreamMetadata {
  readonly verdict: Verdict;
  readonly accept: StreamAcceptor | undefined;
  /** How long the client waits, in milliseconds. */
  readonly timeoutMs: number | undefined;
  /** How many bytes are to come. */
  readonly contentLength: number | undefined;
  readonly #entries: readonly TableEntry[];

  constructor({ entries, isTooLarge }: HeaderList, services: Services) {
    this.#entries = entries;
    const path = this.#first(":path");
    const length = this.#first("content-length");
    this.contentLength = length === undefined ? undefined : Number(length);
    this.accept = path === undefined ? undefined : services.get(path);
    const isGrpc = this.#first(":method") === "POST" && GRPC_TYPE.test(this.#first("content-type") ?? "");
    if (isTooLarge) this.verdict = "too_large";
    else if (!isWellFormed(entries)) this.verdict = "malformed";
    else if (!isGrpc) this.verdict = "not_grpc";
    else this.verdict = this.accept === undefined ? "unknown" : "accept";
    const [, count, unit = ""] = TIMEOUT.exec(this.#first("grpc-timeout") ?? "") ?? [];
    this.timeoutMs = count === undefined ? undefined : Number(count) * UNIT_MS[unit]!;
  }

  /** As UTF-8; of a name that ends in `-bin`, the text behind the base64. */
  get(name: string): string | undefined {
    const key = name.toLowerCase();
    const value = this.#first(key);
    if (value === undefined) return undefined;
    // Route names may have any characters.
    if (!key.endsWith("-bin")) return NOT_ASCII.test(value) ? Buffer.from(value, "latin1").toString() : value;
    const [first = ""] = value.split(",", 1);
    return Buffer.from(first, "base64").toString();
  }

  #first(name: string): string | undefined {
    for (const entry of this.#entries) if (entry.name === name) return entry.value;
    return undefined;
  }
}

/** Whether headers may stand behind a body. */
export function areTrailers({ entries, isTooLarge }: HeaderList): boolean {
  return !isTooLarge && entries.every(({ name, value }) => isField(name, value));
}

function isWellFormed(entries: readonly TableEntry[]): boolean {
  const pseudo = new Map<string, string>();
  let length: string | undefined;
  let isBehindFields = false;
  for (const { name, value } of entries) {
    if (name.startsWith(":")) {
      if (isBehindFields || pseudo.has(name) || !REQUEST_PSEUDO_HEADERS.has(name)) return false;
      if (BAD_VALUE.test(value)) return false;
      pseudo.set(name, value);
      continue;
    }
    isBehindFields = true;
    if (!isField(name, value)) return false;
    if (name === "content-length") {
      if (!/^\d{1,15}$/.test(value) || (length !== undefined && length !== value)) return false;
      length = value;
    }
  }
  if (pseudo.get(":method") === "CONNECT") return true;
  return pseudo.has(":method") && pseudo.has(":scheme") && (pseudo.get(":path") ?? "") !== "";
}

function isField(name: string, value: string): boolean {
  if (!NAME.test(name) || BAD_VALUE.test(value) || CONNECTION_HEADERS.has(name)) return false;
  return name !== "te" || value === "trailers";
}
