import { CODE, ConnectionError } from "./frames.ts";
import { MAX_CONTINUATIONS } from "./limits.ts";

/** A header block that came in more than one frame (RFC 9113 section 6.10). */
export class HeaderBlock {
  readonly streamId: number;
  readonly endsStream: boolean;
  readonly #parts: Buffer[];

  constructor(streamId: number, endsStream: boolean, first: Buffer) {
    this.streamId = streamId;
    this.endsStream = endsStream;
    this.#parts = [Buffer.from(first)];
  }

  /** @throws {ConnectionError} If it comes in too many frames. */
  add(part: Buffer): void {
    if (this.#parts.length > MAX_CONTINUATIONS) {
      throw new ConnectionError(CODE.ENHANCE_YOUR_CALM, "a header block comes in too many frames");
    }
    this.#parts.push(Buffer.from(part));
  }

  join(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
