// Reads header blocks (RFC 7541 sections 5 and 6).
import { CODE, ConnectionError } from "../frames.ts";
import { HEADER_TABLE_BYTES, MAX_HEADER_LIST_BYTES, MAX_HEADERS } from "../limits.ts";
import { decodeHuffman } from "./huffman.ts";
import { DynamicTable, HeaderEntry, STATIC_TABLE } from "./table.ts";

/** The headers of a block, in order. */
export interface HeaderList {
  readonly entries: readonly HeaderEntry[];
  /** There were more, or longer ones, than may be: the entries are not all. */
  readonly isTooLarge: boolean;
}

/** Continuation bytes of an integer: four of them make 28 bits, which no length or index here needs. */
const INTEGER_BYTES = 4;

const NO_BYTES = Buffer.alloc(0);

/** One direction of a connection: every block goes through it, in order, or the tables come apart. */
export class HpackDecoder {
  readonly table = new DynamicTable(HEADER_TABLE_BYTES);
  #bytes: Buffer = NO_BYTES;
  #at = 0;
  #end = 0;

  /** @throws {ConnectionError} If the block cannot be read: nothing on the connection can from then on. */
  decode(bytes: Buffer, start: number, end: number): HeaderList {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    const entries: HeaderEntry[] = [];
    let size = 0;
    let isTooLarge = false;
    while (this.#at < end) {
      const entry = this.#field(entries.length === 0 && size === 0);
      if (entry === undefined) continue;
      size += entry.size;
      if (size > MAX_HEADER_LIST_BYTES || entries.length === MAX_HEADERS) isTooLarge = true;
      else entries.push(entry);
    }
    this.#bytes = NO_BYTES;
    return { entries, isTooLarge };
  }

  /** One representation (section 6); undefined for a change of the table's size, which only comes first. */
  #field(isFirst: boolean): HeaderEntry | undefined {
    const byte = this.#bytes[this.#at]!;
    if (byte >= 0x80) return this.#entry(this.#integer(7));
    if (byte >= 0x40) {
      const entry = this.#literal(6);
      this.table.add(entry);
      return entry;
    }
    if (byte < 0x20) return this.#literal(4);
    const size = this.#integer(5);
    if (!isFirst) throw broken("a table size comes behind a header");
    if (size > HEADER_TABLE_BYTES) throw broken("a table size is larger than the limit");
    this.table.resize(size);
    return undefined;
  }

  #literal(prefixBits: number): HeaderEntry {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#text() : this.#entry(index).name;
    return new HeaderEntry(name, this.#text());
  }

  #entry(index: number): HeaderEntry {
    const entry =
      index <= STATIC_TABLE.length
        ? STATIC_TABLE[index - 1]
        : this.table.get(index - STATIC_TABLE.length - 1);
    if (entry === undefined) throw broken(`there is no header ${index}`);
    return entry;
  }

  /** An integer (section 5.1) whose first byte has so many bits of it. */
  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (shift === 7 * INTEGER_BYTES) throw broken("an integer is too large");
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  /** A string (section 5.2), one character a byte. */
  #text(): string {
    if (this.#at >= this.#end) throw broken("the block ends too early");
    const isHuffman = this.#bytes[this.#at]! >= 0x80;
    const length = this.#integer(7);
    const start = this.#at;
    if (length > this.#end - start) throw broken("the block ends too early");
    this.#at += length;
    return isHuffman
      ? decodeHuffman(this.#bytes, start, start + length)
      : this.#bytes.toString("latin1", start, start + length);
  }

  #byte(): number {
    if (this.#at >= this.#end) throw broken("the block ends too early");
    return this.#bytes[this.#at++]!;
  }
}

function broken(message: string): ConnectionError {
  return new ConnectionError(CODE.COMPRESSION_ERROR, message);
}
