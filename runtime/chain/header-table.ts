import type { HeadersView } from "@policy-engine/sdk";

/** A byte order mark is part of the value for the upstream, so it is for policies. */
const decodeUtf8 = Buffer.prototype.utf8Slice as (this: Uint8Array, start: number, end: number) => string;
const decodeLatin1 = Buffer.prototype.latin1Slice as (this: Uint8Array, start: number, end: number) => string;
const encoder = new TextEncoder();

/** One header line. Text is made from bytes, and bytes from text, only when someone asks. */
export class HeaderLine {
  readonly name: string;
  readonly #value: Uint8Array | string;
  readonly #start: number;
  readonly #end: number;
  #text: string | undefined;
  #bytes: Uint8Array | undefined;

  /** `start` and `end` are the place of the value within other bytes; without them it is all of them. */
  constructor(name: string, value: Uint8Array | string, start = 0, end: number = value.length) {
    this.name = name;
    this.#value = value;
    this.#start = start;
    this.#end = end;
  }

  get text(): string {
    if (typeof this.#value === "string") return this.#value;
    this.#text ??= decodeUtf8.call(this.#value, this.#start, this.#end);
    return this.#text;
  }

  /** One character a byte, for what must leave as it came. */
  get latin1(): string {
    return typeof this.#value === "string"
      ? Buffer.from(this.#value).toString("latin1")
      : decodeLatin1.call(this.#value, this.#start, this.#end);
  }

  /** As text where it was made of text, else as bytes. */
  get value(): HeaderValue {
    return typeof this.#value === "string" ? this.#value : this.bytes;
  }

  get bytes(): Uint8Array {
    if (this.#bytes === undefined) {
      this.#bytes =
        typeof this.#value === "string"
          ? encoder.encode(this.#value)
          : this.#value.subarray(this.#start, this.#end);
    }
    return this.#bytes;
  }
}

/** Text stands for its UTF-8 bytes. */
export type HeaderValue = Uint8Array | string;

/** What Envoy must do to a header: overwrite it, add a line to it, or take it away. */
export type HeaderEdit =
  | { readonly kind: "overwrite" | "append"; readonly name: string; readonly value: HeaderValue }
  | { readonly kind: "remove"; readonly name: string };

/**
 * The headers of one message: as policies left them, and as Envoy still holds them. Pseudo-headers live
 * elsewhere. Names are lower case on the inside; lookups scan the lines, which beats a map for the
 * few dozen headers of a usual message.
 */
export class HeaderTable implements HeadersView {
  #lines: readonly HeaderLine[];
  #held: readonly HeaderLine[];
  #changed: string[] | undefined;

  constructor(lines: readonly HeaderLine[]) {
    this.#lines = lines;
    this.#held = lines;
  }

  get(name: string): string | undefined {
    const key = name.toLowerCase();
    let joined: string | undefined;
    for (const line of this.#lines) {
      if (line.name !== key) continue;
      joined = joined === undefined ? line.text : `${joined}${key === "cookie" ? "; " : ", "}${line.text}`;
    }
    return joined;
  }

  getAll(name: string): readonly string[] {
    return named(this.#lines, name.toLowerCase()).map((line) => line.text);
  }

  getBytes(name: string): readonly Uint8Array[] {
    // Copies: a policy that writes into one must not change what is sent. (A Buffer's `slice` would share.)
    return named(this.#lines, name.toLowerCase()).map((line) => new Uint8Array(line.bytes));
  }

  has(name: string): boolean {
    const key = name.toLowerCase();
    for (const line of this.#lines) if (line.name === key) return true;
    return false;
  }

  *entries(): IterableIterator<[string, string]> {
    for (const line of this.#lines) yield [line.name, line.text];
  }

  /** The lines in order, for whoever sends them all. */
  lines(): readonly HeaderLine[] {
    return this.#lines;
  }

  /** Takes a header away. The name is lower case. */
  remove(name: string): void {
    // Most are removed in case a client or an upstream sent them, and few did.
    if (!this.has(name)) return;
    this.#change(name);
    this.#lines = others(this.#lines, name);
  }

  /** Replaces every line of a header. The name is lower case. */
  set(name: string, values: readonly string[]): void {
    this.#change(name);
    const kept = others(this.#lines, name);
    for (const value of values) kept.push(new HeaderLine(name, value));
    this.#lines = kept;
  }

  /** Adds lines to a header. The name is lower case. */
  append(name: string, values: readonly string[]): void {
    this.#change(name);
    this.#lines = [...this.#lines, ...values.map((value) => new HeaderLine(name, value))];
  }

  /** The difference between what policies left and what Envoy holds, header by header. */
  edits(): HeaderEdit[] {
    const edits: HeaderEdit[] = [];
    if (this.#changed === undefined) return edits;
    for (const name of this.#changed) {
      if (sameLines(this.#held, this.#lines, name)) continue;
      let kind: "overwrite" | "append" = "overwrite";
      for (const line of this.#lines) {
        if (line.name !== name) continue;
        edits.push({ kind, name, value: line.value });
        kind = "append";
      }
      if (kind === "overwrite") edits.push({ kind: "remove", name });
    }
    return edits;
  }

  /** Notes that Envoy has been told of every edit so far. */
  settle(): void {
    this.#held = this.#lines;
    this.#changed = undefined;
  }

  #change(name: string): void {
    if (this.#changed === undefined) this.#changed = [name];
    else if (!this.#changed.includes(name)) this.#changed.push(name);
  }
}

// Loops rather than `filter` and its closures: these run for every header of every request.

function named(lines: readonly HeaderLine[], name: string): HeaderLine[] {
  const found: HeaderLine[] = [];
  for (const line of lines) if (line.name === name) found.push(line);
  return found;
}

function others(lines: readonly HeaderLine[], name: string): HeaderLine[] {
  const found: HeaderLine[] = [];
  for (const line of lines) if (line.name !== name) found.push(line);
  return found;
}

/** Whether a header has the same lines in both. */
function sameLines(held: readonly HeaderLine[], wanted: readonly HeaderLine[], name: string): boolean {
  let at = nextOf(held, name, 0);
  for (let other = nextOf(wanted, name, 0); ; other = nextOf(wanted, name, other + 1)) {
    const [one, two] = [held[at], wanted[other]];
    if (one === undefined || two === undefined) return one === two;
    if (one !== two && Buffer.compare(one.bytes, two.bytes) !== 0) return false;
    at = nextOf(held, name, at + 1);
  }
}

/** Where the next line of a header is; behind the end where there is none. */
function nextOf(lines: readonly HeaderLine[], name: string, from: number): number {
  let at = from;
  while (at < lines.length && lines[at]!.name !== name) at++;
  return at;
}
