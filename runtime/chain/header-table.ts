import type { HeadersView } from "@policy-engine/sdk";
import { bytesOf, type HeaderLine, type HeaderList, type HeaderValue, textOf } from "./header-list.ts";

/** What Envoy must do to a header: overwrite it, add a line to it, or take it away. */
export type HeaderEdit =
  | { readonly kind: "overwrite" | "append"; readonly name: string; readonly value: HeaderValue }
  | { readonly kind: "remove"; readonly name: string };

interface AddedLine {
  readonly name: string;
  readonly value: string;
}

/** A header that policies changed since Envoy was last told. */
interface Changed {
  readonly name: string;
  /** Whether it was there when the message came: else nobody needs to look for it there. */
  readonly isReceived: boolean;
}

/** How headers differ from what was received. Never written to once it stands, only replaced. */
interface Difference {
  /** Names of which no line that was received is left. */
  readonly gone: readonly string[];
  /** Behind the lines that are left. */
  readonly added: readonly AddedLine[];
}

const NONE: Difference = { gone: [], added: [] };
const NO_VALUES: readonly HeaderValue[] = [];

/**
 * The headers of one message: as policies left them, and as Envoy still holds them. Pseudo-headers live
 * elsewhere. Names are lower case on the inside; lookups scan the lines, which beats a map for the
 * few dozen headers of a usual message.
 */
export class HeaderTable implements HeadersView {
  readonly #received: HeaderList;
  #wanted = NONE;
  #held = NONE;
  #changed: Changed[] | undefined;

  constructor(received: HeaderList) {
    this.#received = received;
  }

  get(name: string): string | undefined {
    const key = name.toLowerCase();
    const received = this.#received;
    const { names } = received;
    const { gone, added } = this.#wanted;
    let joined: string | undefined;
    if (!gone.includes(key)) {
      for (let index = 0; index < names.length; index++) {
        if (names[index] === key) joined = join(key, joined, received.text(index));
      }
    }
    for (const line of added) if (line.name === key) joined = join(key, joined, line.value);
    return joined;
  }

  getAll(name: string): readonly string[] {
    return this.#values(this.#wanted, name.toLowerCase()).map(textOf);
  }

  getBytes(name: string): readonly Uint8Array[] {
    // Copies: a policy that writes into one must not change what is sent. (A Buffer's `slice` would share.)
    return this.#values(this.#wanted, name.toLowerCase()).map((value) => new Uint8Array(bytesOf(value)));
  }

  has(name: string): boolean {
    const key = name.toLowerCase();
    const { gone, added } = this.#wanted;
    for (const line of added) if (line.name === key) return true;
    return includes(this.#received.names, key) && !gone.includes(key);
  }

  *entries(): IterableIterator<[string, string]> {
    const received = this.#received;
    const { gone, added } = this.#wanted;
    for (const [index, name] of received.names.entries()) {
      if (!gone.includes(name)) yield [name, received.text(index)];
    }
    for (const { name, value } of added) yield [name, value];
  }

  /** The lines in order, for whoever sends them all. */
  lines(): HeaderLine[] {
    const received = this.#received;
    const { gone, added } = this.#wanted;
    const lines: HeaderLine[] = [];
    for (const [index, name] of received.names.entries()) {
      if (!gone.includes(name)) lines.push({ name, value: received.value(index) });
    }
    return lines.concat(added);
  }

  /** Takes a header away. The name is lower case. */
  remove(name: string): void {
    // Most are removed in case a client or an upstream sent them, and few did.
    if (this.has(name)) this.set(name, []);
  }

  /** Replaces every line of a header. The name is lower case. */
  set(name: string, values: readonly string[]): void {
    const { gone, added } = this.#wanted;
    const isReceived = this.#change(name);
    const lines: AddedLine[] = [];
    for (const line of added) if (line.name !== name) lines.push(line);
    for (const value of values) lines.push({ name, value });
    this.#wanted = { gone: isReceived && !gone.includes(name) ? [...gone, name] : gone, added: lines };
  }

  /** Adds lines to a header. The name is lower case. */
  append(name: string, values: readonly string[]): void {
    this.#change(name);
    const { gone, added } = this.#wanted;
    const lines = added.slice();
    for (const value of values) lines.push({ name, value });
    this.#wanted = { gone, added: lines };
  }

  /** The difference between what policies left and what Envoy holds, header by header. */
  edits(): HeaderEdit[] {
    const edits: HeaderEdit[] = [];
    if (this.#changed === undefined) return edits;
    for (const { name, isReceived } of this.#changed) {
      // Most are news to Envoy.
      if (!isReceived && this.#held === NONE) {
        addLines(edits, name, this.#wanted.added);
        continue;
      }
      const wanted = this.#values(this.#wanted, name, isReceived);
      if (sameValues(this.#values(this.#held, name, isReceived), wanted)) continue;
      if (wanted.length === 0) edits.push({ kind: "remove", name });
      else
        addLines(
          edits,
          name,
          wanted.map((value) => ({ name, value })),
        );
    }
    return edits;
  }

  /** Notes that Envoy has been told of every edit so far. */
  settle(): void {
    this.#held = this.#wanted;
    this.#changed = undefined;
  }

  /** Notes that a header changes, and says whether it was received. */
  #change(name: string): boolean {
    this.#changed ??= [];
    for (const changed of this.#changed) if (changed.name === name) return changed.isReceived;
    const isReceived = includes(this.#received.names, name);
    this.#changed.push({ name, isReceived });
    return isReceived;
  }

  #values({ gone, added }: Difference, name: string, isReceived = true): readonly HeaderValue[] {
    const received = this.#received;
    const { names } = received;
    let values: HeaderValue[] | undefined;
    if (isReceived && !gone.includes(name)) {
      for (let index = 0; index < names.length; index++) {
        if (names[index] !== name) continue;
        values ??= [];
        values.push(received.value(index));
      }
    }
    for (const line of added) {
      if (line.name !== name) continue;
      values ??= [];
      values.push(line.value);
    }
    return values ?? NO_VALUES;
  }
}

/** The edits that give Envoy the lines of a header. */
function addLines(edits: HeaderEdit[], name: string, lines: readonly HeaderLine[]): void {
  let kind: "overwrite" | "append" = "overwrite";
  for (const line of lines) {
    if (line.name !== name) continue;
    edits.push({ kind, name, value: line.value });
    kind = "append";
  }
}

/** As the method of that name does; within a loop of ours two atoms are compared in one step. */
function includes(names: readonly string[], name: string): boolean {
  for (const other of names) if (other === name) return true;
  return false;
}

/** RFC 9110 section 5.3, and RFC 9113 section 8.2.3 for cookies. */
function join(name: string, before: string | undefined, text: string): string {
  if (before === undefined) return text;
  return `${before}${name === "cookie" ? "; " : ", "}${text}`;
}

function sameValues(held: readonly HeaderValue[], wanted: readonly HeaderValue[]): boolean {
  if (held.length !== wanted.length) return false;
  for (let index = 0; index < held.length; index++) {
    if (!sameValue(held[index]!, wanted[index]!)) return false;
  }
  return true;
}

function sameValue(one: HeaderValue, two: HeaderValue): boolean {
  return one === two || Buffer.compare(bytesOf(one), bytesOf(two)) === 0;
}
