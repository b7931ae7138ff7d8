// google.protobuf.Struct and maps of it, as far as a caller asks: scalars by name. Attributes and dynamic metadata
// come in them, of which the engine looks at one or two.
// A client may have a say in their strings: attributes repeat bytes of its headers, whatever they are. So they read as
// the text of a header does, and nobody can make a policy fail.
import { textWithin } from "../../chain/header-list.ts";
import { FIXED64, LENGTH, VARINT, WireError, type WireReader } from "./wire-reader.ts";

/** A map entry and its parts; the fields of Struct; the scalar kinds of Value. */
const KEY = (1 << 3) | LENGTH;
const ENTRY_VALUE = (2 << 3) | LENGTH;
const FIELDS = (1 << 3) | LENGTH;
const NULL = (1 << 3) | VARINT;
const NUMBER = (2 << 3) | FIXED64;
const STRING = (3 << 3) | LENGTH;
const BOOL = (4 << 3) | VARINT;
const STRUCT = (5 << 3) | LENGTH;
const LIST = (6 << 3) | LENGTH;

export type Scalar = string | number | boolean;

/** The value of a map entry that fills the reader, where its key is this one; the reader then stands on it. */
export function enterEntry(reader: WireReader, key: string): boolean {
  return readEntry(reader) === key;
}

/** The scalars of the Struct that fills the reader, by name, without a prototype. The last of a name counts. */
export function readScalars(reader: WireReader, into: Record<string, Scalar>): void {
  const { limit } = reader;
  while (reader.more) {
    const tag = reader.tag();
    if (tag !== FIELDS) {
      reader.skip(tag);
      continue;
    }
    const end = reader.end();
    reader.limit = end;
    const name = readEntry(reader);
    const value = readScalar(reader);
    if (value === undefined) delete into[name];
    else into[name] = value;
    reader.pos = end;
    reader.limit = limit;
  }
}

/** Reads a map entry to its end, and leaves the reader on its value: nothing where it has none. */
function readEntry(reader: WireReader): string {
  let key = "";
  let start = reader.limit;
  let end = reader.limit;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === KEY) {
      const keyEnd = reader.end();
      key = textWithin(reader.bytes, reader.pos, keyEnd);
      reader.pos = keyEnd;
    } else if (tag === ENTRY_VALUE) {
      if (start !== reader.limit) throw new WireError("Cannot read message: a map's entry has two values");
      end = reader.end();
      start = reader.pos;
      reader.pos = end;
    } else reader.skip(tag);
  }
  reader.pos = start;
  reader.limit = end;
  return key;
}

function readScalar(reader: WireReader): Scalar | undefined {
  let value: Scalar | undefined;
  while (reader.more) {
    const tag = reader.tag();
    switch (tag) {
      case STRING: {
        const end = reader.end();
        value = textWithin(reader.bytes, reader.pos, end);
        reader.pos = end;
        break;
      }
      case NUMBER:
        value = reader.double();
        break;
      case BOOL:
        value = reader.bool();
        break;
      case NULL:
      case STRUCT:
      case LIST:
        value = undefined;
        reader.skip(tag);
        break;
      default:
        reader.skip(tag);
    }
  }
  return value;
}
