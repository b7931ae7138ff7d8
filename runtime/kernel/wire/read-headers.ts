// Headers as Envoy sends them, to the lines of a header table. Values stay where they are in the message; text is
// made of them when a policy asks.
import type { HeaderList } from "../../chain/header-list.ts";
import { headerName, headerValue, KNOWN_VALUE_BYTES, pseudoValue } from "./known-texts.ts";
import { LENGTH, WireReader } from "./wire-reader.ts";

/** More than Envoy takes of anybody (its limit is 100 unless raised, and never above this). */
const MAX_HEADERS = 16_384;
/** More than usual messages have. */
const MANY = 256;
const COLON = 0x3a;

/** The fields of HttpHeaders, HeaderMap and HeaderValue, with their wire types. */
const HEADERS = (1 << 3) | LENGTH;
const END_OF_STREAM = 3 << 3;
const HEADER = (1 << 3) | LENGTH;
const KEY = (1 << 3) | LENGTH;
const VALUE = (2 << 3) | LENGTH;
const RAW_VALUE = (3 << 3) | LENGTH;

/** Where a header's value is that has none. */
const NOWHERE = -1;

/** What an HttpHeaders message says. Values stay where they are; only their places are noted. */
export class ReceivedHeaders implements HeaderList {
  readonly names: readonly string[];
  readonly endOfStream: boolean;
  readonly #bytes: Uint8Array;
  /** Where the length of each value stands, with the value behind it. */
  readonly #places: readonly number[];
  readonly #pseudoNames: readonly string[];
  readonly #pseudoPlaces: readonly number[];
  /** Of long values, which take time to make. */
  #texts: (string | undefined)[] | undefined;

  constructor(bytes: Uint8Array, { regular, pseudo }: FoundHeaders, endOfStream: boolean) {
    this.names = regular.names();
    this.endOfStream = endOfStream;
    this.#bytes = bytes;
    this.#places = regular.places();
    this.#pseudoNames = pseudo.names();
    this.#pseudoPlaces = pseudo.places();
  }

  text(index: number): string {
    const { pos, limit } = this.#valueAt(this.#places[index]!);
    // Looking up a short one takes no more time than it would to keep it.
    if (limit - pos <= KNOWN_VALUE_BYTES) return headerValue(this.#bytes, pos, limit);
    this.#texts ??= new Array(this.names.length);
    this.#texts[index] ??= headerValue(this.#bytes, pos, limit);
    return this.#texts[index];
  }

  value(index: number): Uint8Array {
    const { pos, limit } = this.#valueAt(this.#places[index]!);
    return this.#bytes.subarray(pos, limit);
  }

  /** A pseudo-header, one character a byte; empty where there is none. Of several the last counts. */
  pseudo(name: string): string {
    const place = this.#pseudoPlaces[this.#pseudoNames.lastIndexOf(name)];
    if (place === undefined) return "";
    const { pos, limit } = this.#valueAt(place);
    return pseudoValue(this.#bytes, pos, limit);
  }

  #valueAt(place: number): WireReader {
    if (place === NOWHERE) return new WireReader(this.#bytes, 0, 0);
    const reader = new WireReader(this.#bytes, place);
    reader.limit = reader.end();
    return reader;
  }
}

/** Lines in the order in which they are found. One serves for all messages; a list is made when its length is known. */
class FoundLines {
  readonly #names: string[] = [];
  readonly #places: number[] = [];
  count = 0;

  restart(): void {
    this.count = 0;
    // What one message had far more of than others does not stay.
    if (this.#names.length > MANY) {
      this.#names.length = 0;
      this.#places.length = 0;
    }
  }

  add(name: string, place: number): void {
    this.#names[this.count] = name;
    this.#places[this.count] = place;
    this.count++;
  }

  names(): readonly string[] {
    return this.#names.slice(0, this.count);
  }

  places(): readonly number[] {
    return this.#places.slice(0, this.count);
  }
}

/** Headers while they are found. */
class FoundHeaders {
  readonly regular = new FoundLines();
  readonly pseudo = new FoundLines();

  get count(): number {
    return this.regular.count + this.pseudo.count;
  }

  restart(): void {
    this.regular.restart();
    this.pseudo.restart();
  }

  add(name: string, place: number): void {
    if (name.charCodeAt(0) === COLON) this.pseudo.add(name, place);
    else this.regular.add(name, place);
  }
}

const found = new FoundHeaders();

/** Of a message that has no headers: nothing follows it either. */
export const NO_HEADERS = new ReceivedHeaders(new Uint8Array(0), found, true);

/**
 * Reads the HttpHeaders message that fills the reader.
 * @throws {WireError | TypeError} If it is none.
 */
export function readHeaders(reader: WireReader): ReceivedHeaders {
  found.restart();
  let endOfStream = false;
  const { limit } = reader;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === HEADERS) {
      reader.limit = reader.end();
      readHeaderMap(reader);
      reader.limit = limit;
    } else if (tag === END_OF_STREAM) endOfStream = reader.bool();
    else reader.skip(tag);
  }
  return new ReceivedHeaders(reader.bytes, found, endOfStream);
}

function readHeaderMap(reader: WireReader): void {
  const { limit } = reader;
  while (reader.more) {
    if (found.count >= MAX_HEADERS) throw new RangeError("Cannot read message: too many headers");
    if (readUsualHeader(reader)) continue;
    const tag = reader.tag();
    if (tag !== HEADER) {
      reader.skip(tag);
      continue;
    }
    reader.limit = reader.end();
    readHeader(reader);
    reader.limit = limit;
  }
}

/**
 * Reads a header as Envoy writes it, key and raw value with lengths below 128, in a fraction of the time. If it
 * looks otherwise nothing has happened.
 */
function readUsualHeader(reader: WireReader): boolean {
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
  found.add(headerName(bytes, keyStart, valueStart - 2), valueStart - 1);
  return true;
}

function readHeader(reader: WireReader): void {
  const { bytes } = reader;
  let keyStart = 0;
  let keyEnd = 0;
  let value = NOWHERE;
  let raw = NOWHERE;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === KEY) {
      keyEnd = reader.end();
      keyStart = reader.pos;
      reader.pos = keyEnd;
    } else if (tag === RAW_VALUE) raw = takeValue(reader);
    else if (tag === VALUE) value = takeValue(reader);
    else reader.skip(tag);
  }
  // Envoy fills raw_value; other data planes may fill value.
  found.add(headerName(bytes, keyStart, keyEnd), raw === NOWHERE ? value : raw);
}

/** The place of the value that begins here, unless it is empty. */
function takeValue(reader: WireReader): number {
  const place = reader.pos;
  const end = reader.end();
  const isEmpty = reader.pos === end;
  reader.pos = end;
  return isEmpty ? NOWHERE : place;
}
