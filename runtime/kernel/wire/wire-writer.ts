// The wire format of protobuf, written from the end to the beginning: what a record contains is there before its
// length is, so that nothing is measured first and nothing is moved. Fields are therefore written last one first.
import { FIXED64, LENGTH, VARINT } from "./wire-reader.ts";

/** An answer without a body fits, so that most are written without looking for room. */
const INITIAL_BYTES = 4 * 1024;
/** What is kept for the next answer; one with a large body gets room of its own. */
const MAX_KEPT_BYTES = 64 * 1024;
/** Bytes of a tag, and of a length: both are numbers below 2^32. */
const MAX_NUMBER = 5;
const DOUBLE_BYTES = 8;

/** Characters of a text that is written one by one. */
const MAX_SHORT_TEXT = 64;

const writeUtf8 = Buffer.prototype.utf8Write as (
  this: Uint8Array,
  text: string,
  offset: number,
  length: number,
) => number;

/** See the head of the file. One writer serves one message after the other, in the same place unless told to leave it. */
export class WireWriter {
  #kept = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #buffer = this.#kept;
  #start = INITIAL_BYTES;

  get bytes(): Uint8Array {
    return this.#buffer;
  }

  /** Where what has been written begins. */
  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#buffer.length;
  }

  /** A place to measure from: the end of a record that is about to be written. */
  mark(): number {
    return this.#buffer.length - this.#start;
  }

  /** Puts a tag and a length before all that was written since the mark. */
  record(field: number, mark: number): void {
    const length = this.mark() - mark;
    this.#reserve(2 * MAX_NUMBER);
    this.#number(length);
    this.#number((field << 3) | LENGTH);
  }

  varint(field: number, value: number): void {
    this.#reserve(2 * MAX_NUMBER);
    this.#number(value);
    this.#number((field << 3) | VARINT);
  }

  double(field: number, value: number): void {
    this.#reserve(DOUBLE_BYTES + MAX_NUMBER);
    this.#start -= DOUBLE_BYTES;
    this.#buffer.writeDoubleLE(value, this.#start);
    this.#number((field << 3) | FIXED64);
  }

  blob(field: number, value: Uint8Array): void {
    this.#reserve(value.length + 2 * MAX_NUMBER);
    this.#start -= value.length;
    this.#buffer.set(value, this.#start);
    this.#number(value.length);
    this.#number((field << 3) | LENGTH);
  }

  /** Text as UTF-8. */
  string(field: number, value: string): void {
    const length = this.#ascii(value) ? value.length : this.#utf8(value);
    this.#number(length);
    this.#number((field << 3) | LENGTH);
  }

  /** Begins a message, whatever became of the one before. */
  begin(): void {
    this.#buffer = this.#kept;
    this.#start = this.#kept.length;
  }

  /** Ends a message. It stays until the next one begins. */
  finish(): void {
    if (this.#buffer.length <= MAX_KEPT_BYTES) this.#kept = this.#buffer;
  }

  /** Leaves the message that was written to whoever has it, and goes elsewhere with the next. */
  leave(): void {
    if (this.#buffer === this.#kept) this.#kept = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  /** Writes a short text if it is ASCII, as nearly all are: calling for it costs more than doing it. */
  #ascii(value: string): boolean {
    const { length } = value;
    if (length > MAX_SHORT_TEXT) return false;
    this.#reserve(length + 2 * MAX_NUMBER);
    const start = this.#start - length;
    for (let at = 0; at < length; at++) {
      const code = value.charCodeAt(at);
      if (code > 0x7f) return false;
      this.#buffer[start + at] = code;
    }
    this.#start = start;
    return true;
  }

  /** Writes a text, and answers its length in bytes. */
  #utf8(value: string): number {
    const length = Buffer.byteLength(value);
    this.#reserve(length + 2 * MAX_NUMBER);
    this.#start -= length;
    writeUtf8.call(this.#buffer, value, this.#start, length);
    return length;
  }

  #number(value: number): void {
    let size = 1;
    for (let rest = value >>> 7; rest > 0; rest >>>= 7) size++;
    this.#start -= size;
    let at = this.#start;
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[at] = rest;
  }

  #reserve(count: number): void {
    if (count <= this.#start) return;
    const written = this.mark();
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, written + count + INITIAL_BYTES));
    const start = grown.length - written;
    grown.set(this.#buffer.subarray(this.#start), start);
    this.#buffer = grown;
    this.#start = start;
  }
}
