// The wire format of protobuf, read in place: a cursor over the bytes of one message. It never reads beyond the
// record it is in, makes no copies, and skips whatever it is told to.

/** Groups inside each other. Nobody sends any; a hostile peer could send nothing else. */
const MAX_GROUP_DEPTH = 64;
/** Bytes of the longest varint, whose last one has one bit of its 64; and of a tag, whose last one has four of 32. */
const MAX_VARINT = 10;
const LONGEST_TAG = 5;

/** The wire types of protobuf. */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const GROUP = 3;
export const END_GROUP = 4;
export const FIXED32 = 5;

/** Bytes that are no message. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** See the head of the file. `tag` and `varint` move on; what has a length is given as `start` and `end`. */
export class WireReader {
  readonly bytes: Uint8Array;
  pos: number;
  /** Where the record that is being read ends. */
  limit: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.pos = start;
    this.limit = end;
  }

  get more(): boolean {
    return this.pos < this.limit;
  }

  /** A field's number and wire type, as they stand: number times eight, plus type. */
  tag(): number {
    const byte = this.bytes[this.pos]!;
    if (byte >= 8 && byte < 128 && this.pos < this.limit) {
      this.pos++;
      return byte;
    }
    const start = this.pos;
    const tag = this.varint();
    const length = this.pos - start;
    if (length > LONGEST_TAG || (length === LONGEST_TAG && this.bytes[this.pos - 1]! > 0x0f))
      throw new WireError("Cannot read message: the number of a field is too large");
    if (tag < 8) throw new WireError("Cannot read message: a field has the number 0");
    return tag;
  }

  /** The low 32 bits of a varint, as an unsigned number. The rest is checked and left out. */
  varint(): number {
    const { bytes, limit } = this;
    let value = 0;
    for (let read = 0; read < MAX_VARINT; read++) {
      if (this.pos >= limit) throw truncated();
      const byte = bytes[this.pos++]!;
      if (read < 5) value |= (byte & 0x7f) << (read * 7);
      if (byte < 0x80) return value >>> 0;
    }
    throw new WireError("Cannot read message: a number is longer than ten bytes");
  }

  /** A varint that is true unless all of its 64 bits are 0. */
  bool(): boolean {
    let any = 0;
    for (let read = 0; read < MAX_VARINT; read++) {
      if (this.pos >= this.limit) throw truncated();
      const byte = this.bytes[this.pos++]!;
      any |= read === MAX_VARINT - 1 ? byte & 1 : byte & 0x7f;
      if (byte < 0x80) return any !== 0;
    }
    throw new WireError("Cannot read message: a number is longer than ten bytes");
  }

  /** The end of the record that begins here, after its length. */
  end(): number {
    const length = this.varint();
    if (length > this.limit - this.pos) throw truncated();
    return this.pos + length;
  }

  double(): number {
    const at = this.pos;
    this.#advance(8);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).getFloat64(0, true);
  }

  /** Moves on behind the value of a field whose tag has been read. */
  skip(tag: number, depth = 0): void {
    switch (tag & 7) {
      case VARINT:
        this.bool();
        return;
      case FIXED64:
        return this.#advance(8);
      case LENGTH:
        this.pos = this.end();
        return;
      case GROUP:
        return this.#skipGroup(tag >>> 3, depth);
      case FIXED32:
        return this.#advance(4);
      default:
        throw new WireError("Cannot read message: a field has an unknown wire type");
    }
  }

  #skipGroup(number: number, depth: number): void {
    if (depth >= MAX_GROUP_DEPTH) throw new WireError("Cannot read message: it is nested too deeply");
    while (this.more) {
      const tag = this.tag();
      if ((tag & 7) !== END_GROUP) this.skip(tag, depth + 1);
      else if (tag >>> 3 === number) return;
      else throw new WireError("Cannot read message: a group ends with another's number");
    }
    throw truncated();
  }

  #advance(count: number): void {
    if (count > this.limit - this.pos) throw truncated();
    this.pos += count;
  }
}

function truncated(): WireError {
  return new WireError("Cannot read message: it ends in the middle of a field");
}
