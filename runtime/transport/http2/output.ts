import { FRAME_HEAD_BYTES, writeUint32 } from "./frames.ts";

const FIRST_BYTES = 4_096;
/** What a connection keeps of it when nothing waits. */
const KEPT_BYTES = 262_144;

/** Takes as many of the bytes as it can, and says how many; fewer than none when it is closed. */
export interface ByteSink {
  write(bytes: Uint8Array, offset: number, length: number): number;
}

/** Frames on their way out: written into one buffer, which goes to the socket once a turn. */
export class Output {
  /** Where to write what {@link reserve} gave place for. */
  bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** Bytes that the sink took, ever. */
  taken = 0;

  /** How many bytes wait. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /** Makes room for so many bytes, which must be written at once. Gives where. */
  reserve(count: number): number {
    const at = this.#end;
    if (at + count > this.bytes.length) return this.#grow(count);
    this.#end = at + count;
    return at;
  }

  /** Writes the nine bytes before a payload (RFC 9113 section 4.1), and gives the place of the payload. */
  frame(length: number, type: number, flags: number, id: number): number {
    const at = this.reserve(FRAME_HEAD_BYTES + length);
    const { bytes } = this;
    bytes[at] = length >>> 16;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    writeUint32(bytes, at + 5, id);
    return at + FRAME_HEAD_BYTES;
  }

  /** Hands over what waits. Returns false if the sink is closed. */
  flush(sink: ByteSink): boolean {
    const waiting = this.#end - this.#start;
    if (waiting === 0) return true;
    const taken = sink.write(this.bytes, this.#start, waiting);
    if (taken < 0) return false;
    this.taken += taken;
    if (taken < waiting) {
      this.#start += taken;
      return true;
    }
    this.#start = this.#end = 0;
    if (this.bytes.length > KEPT_BYTES) this.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
    return true;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#start = this.#end = 0;
    this.bytes = Buffer.alloc(0);
  }

  #grow(count: number): number {
    const waiting = this.#end - this.#start;
    const needed = waiting + count;
    let { length } = this.bytes;
    // Moves what waits to the front where that frees half of it, so that moving pays.
    if (needed > length / 2) length = Math.max(FIRST_BYTES, length * 2);
    while (length < needed) length *= 2;
    const bytes = length === this.bytes.length ? this.bytes : Buffer.allocUnsafeSlow(length);
    this.bytes.copy(bytes, 0, this.#start, this.#end);
    this.bytes = bytes;
    this.#start = 0;
    this.#end = needed;
    return waiting;
  }
}
