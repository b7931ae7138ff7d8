// What the header block of a request says, checked (RFC 9113 sections 8.2 and 8.3, gRPC over HTTP/2).
import type { StreamAcceptor, StreamMetadata } from "../transport.ts";
import { isPseudo } from "./header-field.ts";
import type { HeaderList } from "./hpack/decoder.ts";
import type { HeaderEntry } from "./hpack/table.ts";

/** The acceptor of each method, by its gRPC path. */
export type Services = ReadonlyMap<string, StreamAcceptor>;

/** What becomes of a request. `unknown` is gRPC for a method that nobody serves. */
type Verdict = "accept" | "malformed" | "too_large" | "not_grpc" | "unknown";

const NOT_ASCII = /[\x80-\xff]/;
const GRPC_TYPE = /^application\/grpc(?:\+proto)?(?:;|$)/i;
const LENGTH = /^\d{1,15}$/;
const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000001,
};

/** What a request says of itself. */
interface Facts {
  method?: string;
  scheme?: string;
  path?: string;
  authority?: string;
  contentType?: string;
  contentLength?: string;
  timeout?: string;
}

/** Where the facts stand. */
const FACTS: ReadonlyMap<string, keyof Facts> = new Map<string, keyof Facts>([
  [":method", "method"],
  [":scheme", "scheme"],
  [":path", "path"],
  [":authority", "authority"],
  ["content-type", "contentType"],
  ["content-length", "contentLength"],
  ["grpc-timeout", "timeout"],
]);

/** Never changes, so that streams that began with the same bytes share one. */
export class RequestHead implements StreamMetadata {
  readonly verdict: Verdict;
  readonly accept: StreamAcceptor | undefined;
  /** How long the client waits, in milliseconds. */
  readonly timeoutMs: number | undefined;
  /** How many bytes are to come. */
  readonly contentLength: number | undefined;
  readonly #entries: readonly HeaderEntry[];

  constructor({ entries, isTooLarge }: HeaderList, services: Services) {
    this.#entries = entries;
    const facts: Facts = {};
    const isWellFormed = readFacts(entries, facts);
    const { path, contentLength, timeout } = facts;
    this.contentLength = contentLength === undefined ? undefined : Number(contentLength);
    this.accept = path === undefined ? undefined : services.get(path);
    this.timeoutMs = timeout === undefined ? undefined : readTimeout(timeout);
    if (isTooLarge) this.verdict = "too_large";
    else if (!isWellFormed) this.verdict = "malformed";
    else if (!isGrpc(facts)) this.verdict = "not_grpc";
    else this.verdict = this.accept === undefined ? "unknown" : "accept";
  }

  /** As UTF-8; of a name that ends in `-bin`, the text behind the base64. */
  get(name: string): string | undefined {
    const key = name.toLowerCase();
    const value = this.#entries.find((entry) => entry.name === key)?.value;
    if (value === undefined) return undefined;
    // Route names may have any characters.
    if (!key.endsWith("-bin")) return NOT_ASCII.test(value) ? Buffer.from(value, "latin1").toString() : value;
    const [first = ""] = value.split(",", 1);
    return Buffer.from(first, "base64").toString();
  }
}

/** Whether headers may stand behind a body. */
export function areTrailers({ entries, isTooLarge }: HeaderList): boolean {
  return !isTooLarge && entries.every((entry) => entry.isWellFormed && !isPseudo(entry.name));
}

/** Whether the headers are those of a request (section 8.3.1). */
function readFacts(entries: readonly HeaderEntry[], facts: Facts): boolean {
  let isBehindFields = false;
  for (const entry of entries) {
    const { name, value } = entry;
    if (!entry.isWellFormed) return false;
    const fact = FACTS.get(name);
    const pseudo = isPseudo(name);
    if (pseudo && (isBehindFields || fact === undefined || facts[fact] !== undefined)) return false;
    isBehindFields = !pseudo;
    if (fact === undefined) continue;
    if (fact === "contentLength" && !isLength(value, facts)) return false;
    // The first line of a name counts.
    facts[fact] ??= value;
  }
  if (facts.method === "CONNECT") return true;
  return facts.method !== undefined && facts.scheme !== undefined && (facts.path ?? "") !== "";
}

/** Whether a length is one, and the same as one before. */
function isLength(value: string, { contentLength }: Facts): boolean {
  return LENGTH.test(value) && (contentLength === undefined || contentLength === value);
}

function isGrpc({ method, contentType = "" }: Facts): boolean {
  return method === "POST" && (contentType === "application/grpc" || GRPC_TYPE.test(contentType));
}

/** In milliseconds; undefined for what is no timeout. */
function readTimeout(timeout: string): number | undefined {
  const [, count, unit = ""] = TIMEOUT.exec(timeout) ?? [];
  return count === undefined ? undefined : Number(count) * UNIT_MS[unit]!;
}
