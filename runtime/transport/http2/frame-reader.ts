import { CODE, ConnectionError, FRAME_HEAD_BYTES, PREFACE, readUint31 } from "./frames.ts";
import { MAX_FRAME_BYTES } from "./limits.ts";

/** Takes one frame: its payload is `bytes` from `start` to `end`, and stays as it is. */
export interface FrameHandler {
  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void;
  /** Whether nothing more is to be read. */
  readonly isOver: boolean;
}

/** Cuts what a client sends into frames. One that lies whole in what came is handed on where it lies. */
export class FrameReader {
  readonly #handler: FrameHandler;
  /** Bytes of the preface that came. */
  #preface = 0;
  /** The head of a frame that came in part, then the whole of it. */
  #partial: Buffer = Buffer.alloc(0);
  #filled = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** @throws {ConnectionError} If it is no preface, if a frame is too large, or by the handler. */
  read(chunk: Buffer): void {
    let at = this.#preface < PREFACE.length ? this.#readPreface(chunk) : 0;
    const handler = this.#handler;
    while (at < chunk.length && !handler.isOver) {
      if (this.#filled > 0) {
        at = this.#readRest(chunk, at);
        continue;
      }
      const left = chunk.length - at;
      if (left < FRAME_HEAD_BYTES) return this.#keep(chunk, at, FRAME_HEAD_BYTES);
      const size = frameSize(chunk, at);
      if (left < size) return this.#keep(chunk, at, size);
      this.#emit(chunk, at, size);
      at += size;
    }
  }

  #readPreface(chunk: Buffer): number {
    let at = 0;
    for (; at < chunk.length && this.#preface < PREFACE.length; at++) {
      if (chunk[at] !== PREFACE[this.#preface++]) {
        throw new ConnectionError(CODE.PROTOCOL_ERROR, "the client does not speak HTTP/2");
      }
    }
    return at;
  }

  #keep(chunk: Buffer, at: number, size: number): void {
    this.#partial = Buffer.allocUnsafeSlow(size);
    this.#filled = chunk.copy(this.#partial, 0, at);
  }

  #readRest(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#partial, this.#filled, at);
    this.#filled += taken;
    const partial = this.#partial;
    if (this.#filled < partial.length) return at + taken;
    const size = frameSize(partial, 0);
    if (partial.length < size) {
      this.#keep(partial, 0, size);
      return at + taken;
    }
    this.#filled = 0;
    this.#emit(partial, 0, size);
    return at + taken;
  }

  #emit(bytes: Buffer, at: number, size: number): void {
    const payload = at + FRAME_HEAD_BYTES;
    this.#handler.frame(bytes[at + 3]!, bytes[at + 4]!, readUint31(bytes, at + 5), bytes, payload, at + size);
  }
}

/** The size of a frame with its head. */
function frameSize(bytes: Buffer, at: number): number {
  const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (length > MAX_FRAME_BYTES) {
    throw new ConnectionError(CODE.FRAME_SIZE_ERROR, `a frame of ${length} bytes is too large`);
  }
  return FRAME_HEAD_BYTES + length;
}
