// The one place where what a policy returned is checked and applied. A result is checked whole before any of it
// is applied, so that a policy that fails has changed nothing.
import type { HeaderChanges, RequestChanges, ResponseChanges } from "@policy-engine/sdk";
import type { HeaderTable } from "./header-table.ts";
import type { BodyNeed } from "./message-body.ts";
import type { DynamicMetadata, RequestMessage, ResponseMessage } from "./messages.ts";

/** RFC 9110 section 5.1: a field name is a token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110 section 5.5: no control characters but the tab. Bytes above 0x7f are allowed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const FORBIDDEN_IN_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/;
/** In characters. */
const MAX_SHORT_VALUE = 64;
/** RFC 3986 sections 3.3 and 3.4, as wide as Envoy takes them: visible ASCII. */
const PATH = /^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/;
const QUERY = /^(?!\?)[\x21\x22\x24-\x7e]*$/;
const AUTHORITY = /^[A-Za-z0-9._~%!$&'()*+,;=:[\]-]+$/;
/** A response to one of these is framed in its own way, and the client expects that of the method it sent. */
const FRAMED_APART: ReadonlySet<string> = new Set(["HEAD", "CONNECT"]);
const SWITCHING_PROTOCOLS = 101;
/** Framing and routing: set through other properties, or not at all. */
const MANAGED: ReadonlyMap<string, string> = new Map([
  ["host", "use authority"],
  ["content-length", "the engine and Envoy keep it right"],
  ["transfer-encoding", "the engine and Envoy keep it right"],
]);
/** Deeper dynamic metadata is a mistake, and Envoy's own limit is near. */
const METADATA_DEPTH = 32;

const encoder = new TextEncoder();

/** In the order in which they are applied. */
const HEADER_KEYS = ["removeHeaders", "setHeaders", "addHeadersIfAbsent", "appendHeaders"] as const;
const REQUEST_KEYS: ReadonlySet<string> = new Set([
  ...HEADER_KEYS,
  "body",
  "path",
  "query",
  "method",
  "authority",
  "reroute",
  "dynamicMetadata",
]);
const RESPONSE_KEYS: ReadonlySet<string> = new Set([...HEADER_KEYS, "body", "status", "dynamicMetadata"]);

/** What a result is applied with, beside the message. */
export interface ApplyOptions {
  /** Takes the dynamic metadata. */
  readonly metadata: DynamicMetadata;
  /** How the policy asked for the body; one that did not may not change it. */
  readonly need: BodyNeed;
}

/**
 * Applies what a request hook returned.
 * @throws {TypeError} If any of it is not what the contract allows; then nothing was applied.
 */
export function applyRequestChanges(
  request: RequestMessage,
  changes: RequestChanges,
  { metadata, need }: ApplyOptions,
): void {
  checkKeys(changes, REQUEST_KEYS);
  const { path, query, method, authority, reroute } = changes;
  if (path !== undefined)
    checkText("path", path, PATH, 'visible ASCII that begins with "/" and has no "?" and no "#"');
  if (query !== undefined && query !== null) {
    checkText("query", query, QUERY, 'visible ASCII without "#", and without the leading "?"');
  }
  if (method !== undefined) checkMethod(method, request.originalMethod);
  if (authority !== undefined) checkText("authority", authority, AUTHORITY, "a host with an optional port");
  const body = checkBody(changes.body, need);
  if (body !== undefined && request.unbufferable) {
    throw new TypeError("Cannot change the body: it cannot be buffered");
  }
  if (reroute !== undefined && typeof reroute !== "boolean") throw wrong("reroute", reroute, "true or false");
  const operations = checkHeaders(changes);
  const checkedMetadata = checkMetadata(changes.dynamicMetadata);

  // CONNECT has no path that a query could follow.
  if (typeof query === "string" && path === undefined && request.path === "") {
    throw new TypeError("Cannot apply query: the request has no path");
  }

  if (body !== undefined) request.setBody(body, need);
  applyHeaders(request.headers, operations);
  if (path !== undefined || query !== undefined) request.path = joinPath(request.path, path, query);
  if (method !== undefined) request.method = method;
  if (authority !== undefined) request.authority = authority;
  if (reroute === true) request.reroute = true;
  mergeMetadata(metadata, checkedMetadata);
}

/**
 * Applies what a response hook returned.
 * @returns Whether all of it was applied. A body where there must be none (HEAD, 204, 304) is left out.
 * @throws {TypeError} If any of it is not what the contract allows; then nothing was applied.
 */
export function applyResponseChanges(
  response: ResponseMessage,
  changes: ResponseChanges,
  { metadata, need }: ApplyOptions,
): boolean {
  checkKeys(changes, RESPONSE_KEYS);
  const { status } = changes;
  if (status !== undefined && !(Number.isInteger(status) && status >= 200 && status <= 599)) {
    throw wrong("status", status, "a whole number from 200 to 599");
  }
  // What the upstream sends next is no longer HTTP, and would follow whatever status the client sees.
  if (status !== undefined && response.status === SWITCHING_PROTOCOLS) {
    throw new TypeError("Cannot change the status of an upgrade: only an answer can take the place of a 101");
  }
  const body = checkBody(changes.body, need);
  if (body !== undefined && response.unbufferable) {
    throw new TypeError("Cannot change the body: it cannot be buffered");
  }
  const operations = checkHeaders(changes);
  const checkedMetadata = checkMetadata(changes.dynamicMetadata);

  if (status !== undefined) response.status = status;
  const whole = body === undefined || response.setBody(body, need);
  applyHeaders(response.headers, operations);
  mergeMetadata(metadata, checkedMetadata);
  return whole;
}

/** A copy of a list: what is applied has to be what was checked. */
function headerValues(name: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [headerValue(name, value)];
  return Array.from(value, (item: unknown) => headerValue(name, item));
}

function headerValue(name: string, value: unknown): string {
  if (typeof value !== "string") throw wrong(`header "${name}"`, value, "text or a list of texts");
  if (!isFieldValue(value)) {
    throw new TypeError(`Cannot set header "${name}": its value has a control character`);
  }
  return value;
}

/** One change of one header, checked. */
interface HeaderOperation<Kind extends string = (typeof HEADER_KEYS)[number]> {
  readonly kind: Kind;
  /** In lower case. */
  readonly name: string;
  readonly values: readonly string[];
}

/** Short ones, as nearly all are, are looked at here: calling for it costs more than doing it. */
function isFieldValue(value: string): boolean {
  if (value.length > MAX_SHORT_VALUE) return !FORBIDDEN_IN_VALUE.test(value);
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return false;
  }
  return true;
}

/** What is to be done to headers, in the order in which it is done. */
function checkHeaders(changes: HeaderChanges): readonly HeaderOperation[] {
  const operations: HeaderOperation[] = [];
  const { removeHeaders, setHeaders, addHeadersIfAbsent, appendHeaders } = changes;
  if (removeHeaders !== undefined) {
    if (!Array.isArray(removeHeaders)) throw wrong("removeHeaders", removeHeaders, "a list of names");
    for (const name of removeHeaders) {
      if (typeof name !== "string") throw wrong("removeHeaders", name, "a list of names");
      operations.push({ kind: "removeHeaders", name: checkName(name), values: [] });
    }
  }
  addOperations(operations, "setHeaders", setHeaders);
  addOperations(operations, "addHeadersIfAbsent", addHeadersIfAbsent);
  addOperations(operations, "appendHeaders", appendHeaders);
  return operations;
}

/**
 * The headers of a record that a policy wrote, with names in lower case.
 * @throws {TypeError} If it is no record, or a name or a value cannot be sent.
 */
export function headerOperations<Kind extends string>(
  kind: Kind,
  record: unknown,
): readonly HeaderOperation<Kind>[] {
  const operations: HeaderOperation<Kind>[] = [];
  addOperations(operations, kind, record);
  return operations;
}

function addOperations<Kind extends string>(
  operations: HeaderOperation<Kind>[],
  kind: Kind,
  record: unknown,
): void {
  if (record === undefined) return;
  if (!isPlainObject(record)) throw wrong(kind, record, "a plain object of names and values");
  for (const given in record) {
    if (!Object.hasOwn(record, given)) continue;
    const name = checkName(given);
    operations.push({ kind, name, values: headerValues(name, record[given]) });
  }
}

function applyHeaders(table: HeaderTable, operations: readonly HeaderOperation[]): void {
  for (const { kind, name, values } of operations) {
    if (kind === "removeHeaders") table.remove(name);
    else if (kind === "appendHeaders") table.append(name, values);
    else if (kind === "addHeadersIfAbsent") {
      if (!table.has(name)) table.append(name, values);
    } else if (values.length > 0) table.set(name, values);
  }
}

/** Names that were found good, with themselves in lower case: a policy uses the same few again and again. */
const goodNames = new Map<string, string>();
/** Names that come from requests must not fill the memory. */
const MAX_GOOD_NAMES = 1_024;
const MAX_GOOD_NAME = 64;

/** The name in lower case. Checked before that: some letters outside of ASCII have ASCII ones as lower case. */
function checkName(name: string): string {
  const known = goodNames.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  const advice = lower.startsWith(":") ? "use path, method, authority or status" : MANAGED.get(lower);
  if (advice === undefined && TOKEN.test(name)) {
    if (goodNames.size < MAX_GOOD_NAMES && name.length <= MAX_GOOD_NAME) goodNames.set(name, lower);
    return lower;
  }
  const reason = advice ?? "it is not a header name";
  throw new TypeError(`Cannot change header ${JSON.stringify(lower)}: ${reason}`);
}

function checkKeys(changes: object, known: ReadonlySet<string>): void {
  // An instance of a class (a Response, an Error, a Map) has no properties of its own and would change nothing.
  if (!isPlainObject(changes)) throw wrong("the result", changes, "a plain object");
  for (const key in changes) {
    if (!known.has(key) && Object.hasOwn(changes, key))
      throw new TypeError(`Cannot apply the result: unknown property "${key}"`);
  }
}

/** A copy: the policy may go on writing into its own. */
function checkBody(body: unknown, need: BodyNeed): Uint8Array | undefined {
  if (body === undefined) return undefined;
  if (need === "none")
    throw new TypeError("Cannot change the body: the policy's definition does not ask for it");
  if (body === null) return new Uint8Array(0);
  if (typeof body === "string") return encoder.encode(body);
  if (body instanceof Uint8Array) return new Uint8Array(body);
  throw wrong("body", body, "text, bytes or null");
}

function checkMethod(method: unknown, original: string): void {
  checkText("method", method, TOKEN, "a token");
  if (method !== original && (FRAMED_APART.has(method as string) || FRAMED_APART.has(original))) {
    throw new TypeError("Cannot change the method to or from HEAD or CONNECT: its response is framed apart");
  }
}

function checkText(key: string, value: unknown, pattern: RegExp, needed: string): void {
  if (typeof value !== "string" || !pattern.test(value)) throw wrong(key, value, needed);
}

/** Never quotes the value: it may hold what a client sent in confidence. */
function wrong(key: string, value: unknown, needed: string): TypeError {
  const found = value === null ? "null" : Array.isArray(value) ? "a list" : `this ${typeof value}`;
  return new TypeError(`Cannot apply ${key}: ${found} is not ${needed}`);
}

function joinPath(current: string, path: string | undefined, query: string | null | undefined): string {
  const mark = current.indexOf("?");
  const ownPath = mark === -1 ? current : current.slice(0, mark);
  const ownQuery = mark === -1 ? null : current.slice(mark + 1);
  const nextQuery = query === undefined ? ownQuery : query;
  return nextQuery === null ? (path ?? ownPath) : `${path ?? ownPath}?${nextQuery}`;
}

function checkMetadata(metadata: unknown): DynamicMetadata | undefined {
  if (metadata === undefined) return undefined;
  if (!isPlainObject(metadata) || !Object.values(metadata).every(isPlainObject)) {
    throw wrong("dynamicMetadata", metadata, "an object of namespaces, each an object of keys and values");
  }
  // A copy: the policy may go on changing its own.
  return copyJson(metadata, 0) as DynamicMetadata;
}

function copyJson(value: unknown, depth: number): unknown {
  if (depth > METADATA_DEPTH)
    throw new TypeError(`Cannot apply dynamicMetadata: it is deeper than ${METADATA_DEPTH}`);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item) => copyJson(item, depth + 1));
  if (!isPlainObject(value)) throw wrong("dynamicMetadata", value, "JSON");
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, copyJson(item, depth + 1)]));
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function mergeMetadata(target: DynamicMetadata, source: DynamicMetadata | undefined): void {
  if (source === undefined) return;
  for (const [namespace, values] of Object.entries(source)) {
    target[namespace] = { ...target[namespace], ...values };
  }
}
