// Headers as Envoy sends them, to the lines of a header table. Values stay where they are in the message; text is
// made of them when a policy asks.
import type { HeaderList } from "../../chain/header-list.ts";
import { headerName, headerValue, pseudoValue } from "./known-texts.ts";
import { LENGTH, type WireReader } from "./wire-reader.ts";

/** More than Envoy takes of anybody (its limit is 100 unless raised, and never above this). */
const MAX_HEADERS = 16_384;
const COLON = 0x3a;

/** The fields of HttpHeaders, HeaderMap and HeaderValue, with their wire types. */
const HEADERS = (1 << 3) | LENGTH;
const END_OF_STREAM = 3 << 3;
const HEADER = (1 << 3) | LENGTH;
const KEY = (1 << 3) | LENGTH;
const VALUE = (2 << 3) | LENGTH;
const RAW_VALUE = (3 << 3) | LENGTH;

/** What an HttpHeaders message says. Values stay where they are; only their places are noted. */
export class ReceivedHeaders implements HeaderList {
  readonly names: string[] = [];
  endOfStream = false;
  readonly #bytes: Uint8Array;
  /** Start and end of each value. */
  readonly #places: number[] = [];
  /** Name, start and end of each pseudo-header. */
  readonly #pseudo: (string | number)[] = [];
  #texts: (string | undefined)[] | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  add(name: string, start: number, end: number): void {
    if (name.charCodeAt(0) === COLON) {
      this.#pseudo.push(name, start, end);
    } else {
      this.names.push(name);
      this.#places.push(start, end);
    }
  }

  text(index: number): string {
    this.#texts ??= [];
    this.#texts[index] ??= headerValue(this.#bytes, this.#places[2 * index]!, this.#places[2 * index + 1]!);
    return this.#texts[index];
  }

  value(index: number): Uint8Array {
    return this.#bytes.subarray(this.#places[2 * index], this.#places[2 * index + 1]);
  }

  /** A pseudo-header, one character a byte; empty where there is none. Of several the last counts. */
  pseudo(name: string): string {
    const pseudo = this.#pseudo;
    for (let at = pseudo.length - 3; at >= 0; at -= 3) {
      if (pseudo[at] === name) {
        return pseudoValue(this.#bytes, pseudo[at + 1] as number, pseudo[at + 2] as number);
      }
    }
    return "";
  }
}

/**
 * Reads the HttpHeaders message that fills the reader.
 * @throws {WireError | TypeError} If it is none.
 */
export function readHeaders(reader: WireReader): ReceivedHeaders {
  const headers = new ReceivedHeaders(reader.bytes);
  const { limit } = reader;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === HEADERS) {
      reader.limit = reader.end();
      readHeaderMap(reader, headers);
      reader.limit = limit;
    } else if (tag === END_OF_STREAM) headers.endOfStream = reader.bool();
    else reader.skip(tag);
  }
  return headers;
}

function readHeaderMap(reader: WireReader, headers: ReceivedHeaders): void {
  const { limit } = reader;
  while (reader.more) {
    if (headers.names.length >= MAX_HEADERS) throw new RangeError("Cannot read message: too many headers");
    if (readUsualHeader(reader, headers)) continue;
    const tag = reader.tag();
    if (tag !== HEADER) {
      reader.skip(tag);
      continue;
    }
    reader.limit = reader.end();
    readHeader(reader, headers);
    reader.limit = limit;
  }
}

/**
 * Reads a header as Envoy writes it, key and raw value with lengths below 128, in a fraction of the time. If it
 * looks otherwise nothing has happened.
 */
function readUsualHeader(reader: WireReader, headers: ReceivedHeaders): boolean {
  const { bytes, pos, limit } = reader;
  const keyLength = bytes[pos + 3]!;
  const keyStart = pos + 4;
  const valueStart = keyStart + keyLength + 2;
  if (valueStart > limit || keyLength > 0x7f) return false;
  const valueLength = bytes[valueStart - 1]!;
  const end = valueStart + valueLength;
  const usual =
    bytes[pos] === HEADER &&
    bytes[pos + 1] === end - pos - 2 &&
    bytes[pos + 2] === KEY &&
    bytes[valueStart - 2] === RAW_VALUE &&
    end - pos - 2 <= 0x7f &&
    end <= limit;
  if (!usual) return false;
  reader.pos = end;
  headers.add(headerName(bytes, keyStart, valueStart - 2), valueStart, end);
  return true;
}

function readHeader(reader: WireReader, headers: ReceivedHeaders): void {
  const { bytes } = reader;
  let keyStart = 0;
  let keyEnd = 0;
  let valueStart = 0;
  let valueEnd = 0;
  let rawStart = 0;
  let rawEnd = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === KEY) {
      keyEnd = reader.end();
      keyStart = reader.pos;
      reader.pos = keyEnd;
    } else if (tag === RAW_VALUE) {
      rawEnd = reader.end();
      rawStart = reader.pos;
      reader.pos = rawEnd;
    } else if (tag === VALUE) {
      valueEnd = reader.end();
      valueStart = reader.pos;
      reader.pos = valueEnd;
    } else reader.skip(tag);
  }
  // Envoy fills raw_value; other data planes may fill value.
  if (rawStart === rawEnd) {
    rawStart = valueStart;
    rawEnd = valueEnd;
  }
  headers.add(headerName(bytes, keyStart, keyEnd), rawStart, rawEnd);
}
