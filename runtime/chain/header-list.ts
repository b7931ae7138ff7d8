// The header lines of a message as they were received. Text is made from bytes, and bytes from text, only when
// someone asks.

/** Text stands for its UTF-8 bytes. */
export type HeaderValue = Uint8Array | string;

/** One line. The name is lower case. */
export interface HeaderLine {
  readonly name: string;
  readonly value: HeaderValue;
}

/** Lines in their order, by index. Nobody writes to what it hands out. */
export interface HeaderList {
  /** In lower case; pseudo-headers are not among them. */
  readonly names: readonly string[];
  text(index: number): string;
  /** As text where the line was made of text, else as bytes. */
  value(index: number): HeaderValue;
}

/** A byte order mark is part of the value for the upstream, so it is for policies. */
const decodeUtf8 = Buffer.prototype.utf8Slice as (this: Uint8Array, start: number, end: number) => string;
const encoder = new TextEncoder();

/** The text of a value: what is not UTF-8 reads as U+FFFD. */
export function textOf(value: HeaderValue): string {
  return typeof value === "string" ? value : textWithin(value, 0, value.length);
}

/** The text of a value that lies within other bytes. */
export function textWithin(bytes: Uint8Array, start: number, end: number): string {
  return decodeUtf8.call(bytes, start, end);
}

/** The bytes of a value, not to be written to. */
export function bytesOf(value: HeaderValue): Uint8Array {
  return typeof value === "string" ? encoder.encode(value) : value;
}

/** A list of lines that are there one by one. */
export function headerList(lines: readonly HeaderLine[]): HeaderList {
  return {
    names: lines.map(({ name }) => name),
    text: (index) => textOf(lines[index]!.value),
    value: (index) => lines[index]!.value,
  };
}
