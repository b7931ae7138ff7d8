// The tables that indexes of HPACK point into (RFC 7541 section 2.3, appendix A).
import { isField } from "../header-field.ts";

/** What an entry counts beside its characters (section 4.1). */
const ENTRY_OVERHEAD = 32;

/** A header, of a block or of a table. */
export class HeaderEntry {
  readonly name: string;
  readonly value: string;
  /** In a table (section 4.1) and in a list (RFC 9113 section 6.5.2). */
  readonly size: number;
  #isWellFormed: boolean | undefined;

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.size = name.length + value.length + ENTRY_OVERHEAD;
  }

  /** Whether a request may have it. Looked at once: an entry of a table stands in many requests. */
  get isWellFormed(): boolean {
    this.#isWellFormed ??= isField(this.name, this.value);
    return this.#isWellFormed;
  }
}

const STATIC_NAMES_AND_VALUES: readonly (readonly [name: string, value?: string])[] = [
  [":authority"],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset"],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language"],
  ["accept-ranges"],
  ["accept"],
  ["access-control-allow-origin"],
  ["age"],
  ["allow"],
  ["authorization"],
  ["cache-control"],
  ["content-disposition"],
  ["content-encoding"],
  ["content-language"],
  ["content-length"],
  ["content-location"],
  ["content-range"],
  ["content-type"],
  ["cookie"],
  ["date"],
  ["etag"],
  ["expect"],
  ["expires"],
  ["from"],
  ["host"],
  ["if-match"],
  ["if-modified-since"],
  ["if-none-match"],
  ["if-range"],
  ["if-unmodified-since"],
  ["last-modified"],
  ["link"],
  ["location"],
  ["max-forwards"],
  ["proxy-authenticate"],
  ["proxy-authorization"],
  ["range"],
  ["referer"],
  ["refresh"],
  ["retry-after"],
  ["server"],
  ["set-cookie"],
  ["strict-transport-security"],
  ["transfer-encoding"],
  ["user-agent"],
  ["vary"],
  ["via"],
  ["www-authenticate"],
];
/** The static table; its indexes begin with 1. */
export const STATIC_TABLE: readonly HeaderEntry[] = STATIC_NAMES_AND_VALUES.map(
  ([name, value = ""]) => new HeaderEntry(name, value),
);

/** The table that a peer fills; its newest entry has the index after the static table's last. */
export class DynamicTable {
  /** A ring of entries; its length is a power of two. */
  #ring: (HeaderEntry | undefined)[] = new Array(8);
  #newest = 0;
  #count = 0;
  #size = 0;
  #maxSize: number;
  /** Counts every change, so that what was read through the table can be told to be still true. */
  version = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get size(): number {
    return this.#size;
  }

  get count(): number {
    return this.#count;
  }

  /** The entry at a place, from 0 for the newest. */
  get(place: number): HeaderEntry | undefined {
    return place < this.#count ? this.#ring[(this.#newest - place) & (this.#ring.length - 1)] : undefined;
  }

  /** Adds an entry; those that do not fit beside it, perhaps itself too, are dropped (section 4.4). */
  add(entry: HeaderEntry): void {
    this.version++;
    const { size } = entry;
    this.#evict(this.#maxSize - size);
    if (size > this.#maxSize) return;
    if (this.#count === this.#ring.length) this.#double();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = entry;
    this.#count++;
    this.#size += size;
  }

  resize(maxSize: number): void {
    this.version++;
    this.#maxSize = maxSize;
    this.#evict(maxSize);
  }

  /** Drops the oldest until the rest has at most this size. */
  #evict(size: number): void {
    while (this.#count > 0 && this.#size > size) {
      const at = (this.#newest - this.#count + 1) & (this.#ring.length - 1);
      this.#size -= this.#ring[at]!.size;
      this.#ring[at] = undefined;
      this.#count--;
    }
  }

  #double(): void {
    const entries = Array.from({ length: this.#count }, (_, place) => this.get(this.#count - 1 - place));
    this.#ring = [...entries, ...new Array(this.#ring.length)];
    this.#newest = this.#count - 1;
  }
}
