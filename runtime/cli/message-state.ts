/** A message at one moment. */
export interface MessageState {
  /** Of a request. */
  readonly method?: string;
  /** Of a request; with the query. */
  readonly path?: string;
  readonly authority?: string;
  /** Of a response. */
  readonly status?: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** As it is sent on; empty while it has not come. */
  readonly body: Uint8Array;
  /** As the policy reads it; null when it does not. */
  readonly seen: Uint8Array | null;
}

/** What is different afterwards; without what is not. */
export interface MessageChanges {
  method?: string;
  path?: string;
  authority?: string;
  status?: number;
  /** The lines of each header that changed; null when there is none left. */
  headers?: Record<string, string[] | null>;
  body?: Uint8Array;
  /** Keys of the shared metadata that were set or taken away. */
  metadata?: string[];
}

/** Compares a message, and the metadata, before and after. */
export function changesBetween(
  before: MessageState,
  after: MessageState,
  { metadata }: { metadata: readonly [ReadonlyMap<string, unknown>, ReadonlyMap<string, unknown>] },
): MessageChanges {
  const changes: MessageChanges = {};
  const { method, path, authority, status } = after;
  if (method !== undefined && method !== before.method) changes.method = method;
  if (path !== undefined && path !== before.path) changes.path = path;
  if (authority !== undefined && authority !== before.authority) changes.authority = authority;
  if (status !== undefined && status !== before.status) changes.status = status;
  const headers = headerChanges(before.headers, after.headers);
  if (Object.keys(headers).length > 0) changes.headers = headers;
  if (after.body !== before.body && !Buffer.from(after.body).equals(before.body)) changes.body = after.body;
  const [old, now] = metadata;
  const keys = new Set([...old.keys(), ...now.keys()]);
  const touched = [...keys].filter((key) => old.get(key) !== now.get(key) || old.has(key) !== now.has(key));
  if (touched.length > 0) changes.metadata = touched;
  return changes;
}

function headerChanges(
  before: MessageState["headers"],
  after: MessageState["headers"],
): Record<string, string[] | null> {
  const changes: Record<string, string[] | null> = Object.create(null);
  const lines = (headers: MessageState["headers"], name: string): string[] =>
    headers.filter(([each]) => each === name).map(([, value]) => value);
  for (const name of new Set([...before, ...after].map(([each]) => each))) {
    const [old, now] = [lines(before, name), lines(after, name)];
    if (old.length === now.length && old.every((value, index) => value === now[index])) continue;
    changes[name] = now.length === 0 ? null : now;
  }
  return changes;
}

/** Pseudo-headers have one character a byte on the inside; people read UTF-8. */
export function fromWire(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}
