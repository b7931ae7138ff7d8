// Messages that come in more than one piece, and the memory that they may take on all connections together.
//
// The length of a message is known from its first five bytes. One that finds room gets its whole buffer and, if
// need be, a window as large: it comes at once. One that does not waits with the bytes that its stream's window
// let through, and its peer with the rest, so that a thousand large messages cost what a few do.
import { readUint32 } from "./frames.ts";

/** Before each message: a flag and the length. */
export const PREFIX_BYTES = 5;
/** Up to here a message does not wait for others. */
const SMALL_BYTES = 65_536;

/** The stream that a message is for. */
export interface AssemblyHost {
  /** Bytes that the peer may still send. */
  readonly receiveWindow: number;
  /** Lets the peer send so many bytes, and what it usually may. */
  allow(bytes: number): void;
}

/** Shares the memory out: a limit for messages that may come, and as much for what waiting ones already hold. */
export class AssemblyMemory {
  readonly #limit: number;
  readonly #waiting = new Set<MessageAssembly>();
  #admitted = 0;
  #early = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes taken. */
  get used(): number {
    return this.#admitted + this.#early;
  }

  /** Takes memory for a whole message, if there is room. A message always fits beside no other. */
  admit(length: number): boolean {
    if (length > SMALL_BYTES && this.#waiting.size > 0) return false;
    if (!this.#fits(length)) return false;
    this.#admitted += length;
    return true;
  }

  /** Takes memory for what may come of a message that was not admitted; false if there is none. */
  hold(bytes: number): boolean {
    if (this.#early + bytes > this.#limit) return false;
    this.#early += bytes;
    return true;
  }

  /** Admits a message when it is its turn. */
  wait(assembly: MessageAssembly): void {
    this.#waiting.add(assembly);
  }

  /** Gives memory back. Who waits longest gets it. */
  release(assembly: MessageAssembly): void {
    this.#waiting.delete(assembly);
    if (assembly.isAdmitted) this.#admitted -= assembly.held;
    else this.#early -= assembly.held;
    for (const next of this.#waiting) {
      if (!this.#fits(next.length)) return;
      this.#waiting.delete(next);
      this.#early -= next.held;
      this.#admitted += next.length;
      next.grow();
    }
  }

  #fits(length: number): boolean {
    return this.#admitted === 0 || this.#admitted + length <= this.#limit;
  }
}

/** One message on its way in. */
export class MessageAssembly {
  readonly #memory: AssemblyMemory;
  readonly #host: AssemblyHost;
  /** The prefix, then the message. */
  #bytes: Buffer = Buffer.allocUnsafe(PREFIX_BYTES);
  #filled = 0;
  /** For the clock: how much had come when it last saw more, and when that was. */
  #seen = -1;
  #seenAt = 0;
  /** The first byte of the prefix; undefined while the prefix is not whole. */
  #flag: number | undefined;
  /** The message's, once the prefix is whole. */
  length = 0;
  /** Memory that counts for it. */
  held = 0;
  /** That is the whole message. */
  isAdmitted = false;

  constructor(memory: AssemblyMemory, host: AssemblyHost) {
    this.#memory = memory;
    this.#host = host;
  }

  get flag(): number | undefined {
    return this.#flag;
  }

  get isWhole(): boolean {
    return this.#flag !== undefined && this.#filled === this.length;
  }

  get message(): Uint8Array {
    return this.#bytes;
  }

  /** Takes what it can use, and gives the place behind. Once the prefix is whole it waits for {@link begin}. */
  take(bytes: Buffer, start: number, end: number): number {
    const taken = bytes.copy(this.#bytes, this.#filled, start, end);
    this.#filled += taken;
    if (this.#flag === undefined && this.#filled === PREFIX_BYTES) {
      this.#flag = this.#bytes[0]!;
      this.length = readUint32(this.#bytes, 1);
      this.#filled = 0;
    }
    return start + taken;
  }

  /** Gets memory for the message, or a place in the queue; false if there is neither. */
  begin(arrived: number): boolean {
    const { length } = this;
    this.isAdmitted = this.#memory.admit(length);
    const held = this.isAdmitted ? length : Math.min(length, arrived + this.#host.receiveWindow);
    if (!this.isAdmitted && !this.#memory.hold(held)) return false;
    this.held = held;
    this.#bytes = Buffer.allocUnsafeSlow(held);
    if (held < length) this.#memory.wait(this);
    else this.#allow(length - arrived);
    return true;
  }

  /** Padding takes of the window too: what is missing must still find room in it. */
  allowRest(): void {
    if (this.held === this.length) this.#allow(this.length - this.#filled);
  }

  /** Whether nothing has come for so long, though it may. */
  isStuck(now: number, timeoutMs: number): boolean {
    const isWaiting = this.held < this.length && !this.isAdmitted;
    const came = this.#flag === undefined ? this.#filled : PREFIX_BYTES + this.#filled;
    if (came !== this.#seen || isWaiting) {
      this.#seen = came;
      this.#seenAt = now;
    }
    return now - this.#seenAt > timeoutMs;
  }

  /** Makes room for the rest; the memory is taken. */
  grow(): void {
    this.isAdmitted = true;
    this.held = this.length;
    const bytes = Buffer.allocUnsafeSlow(this.length);
    this.#bytes.copy(bytes, 0, 0, this.#filled);
    this.#bytes = bytes;
    this.#allow(this.length - this.#filled);
  }

  /** Gives the memory back, whether the message came or not. */
  release(): void {
    this.#memory.release(this);
    this.held = 0;
  }

  #allow(missing: number): void {
    if (missing > this.#host.receiveWindow) this.#host.allow(missing);
  }
}
