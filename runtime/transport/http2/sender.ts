// The sending side of a connection: frames into the output, DATA within the windows that the peer gives
// (RFC 9113 sections 5.2 and 6.9).

import { PREFIX_BYTES } from "./assembly.ts";
import {
  CODE,
  ConnectionError,
  DEFAULT_HEADER_TABLE,
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  LARGEST_WINDOW,
  writeUint32,
} from "./frames.ts";
import { MAX_FRAME_BYTES, PAUSE_READING_BYTES } from "./limits.ts";
import { Output } from "./output.ts";
import { RESPONSE_HEAD, withoutTable } from "./responses.ts";
import type { PeerSettings } from "./settings.ts";

/** What a queued message costs beside its bytes. */
const MESSAGE_OVERHEAD_BYTES = 128;

/** Frames of large answers: larger ones pay no more. */
const LARGEST_SENT_FRAME = 65_536;
/** Pieces that were sent are forgotten when there are so many. */
const LONG_QUEUE = 1_000;
const NOTHING = new Uint8Array(0);
const copy = Buffer.prototype.copy as (
  this: Uint8Array,
  target: Uint8Array,
  at: number,
  start: number,
  end: number,
) => number;

/** A stream as far as sending goes. */
export interface SendingStream {
  readonly id: number;
  sendWindow: number;
  isHeadSent: boolean;
  /** What the windows held back; undefined if nothing. */
  backlog: Backlog | undefined;
}

/** Messages of a stream that wait for a window, and the trailers behind them. */
export class Backlog {
  readonly pieces: Uint8Array[] = [];
  /** The first piece that is not sent, and how far it is. */
  index = 0;
  offset = 0;
  bytes = 0;
  /** What ends the stream behind the bytes: a frame of trailers, or the last of the bytes themselves. */
  end: Buffer | "with_bytes" | undefined;
  /** For the clock: whether any of it went out since it last looked, and since when none has. */
  hasMoved = true;
  stuckSince = 0;
}

/** See the head of the file. */
export class Sender {
  readonly output = new Output();
  /** Every stream with a backlog. */
  readonly waiting = new Set<SendingStream>();
  /** Those that only the connection's window, or the socket, holds back. */
  readonly #ready = new Set<SendingStream>();
  readonly #onEnd: (stream: SendingStream) => void;
  #window = DEFAULT_WINDOW;
  #initialWindow = DEFAULT_WINDOW;
  #maxFrame = MAX_FRAME_BYTES;
  /** Headers here use no table; a peer that made its own smaller is to be told (RFC 7541 section 4.2). */
  #tableNotice: "none" | "due" | "given" = "none";
  /** Bytes of all backlogs, with what their messages cost beside. */
  #backlogBytes = 0;

  /** `onEnd` is told of a stream whose end has gone out behind its backlog. */
  constructor(onEnd: (stream: SendingStream) => void) {
    this.#onEnd = onEnd;
  }

  get initialWindow(): number {
    return this.#initialWindow;
  }

  /** Bytes that the peer has not taken. */
  get unread(): number {
    return this.#backlogBytes + this.output.pending;
  }

  /** Writes a whole frame of headers that was made for stream 0. */
  template(headers: Buffer, id: number): void {
    let frame = headers;
    if (this.#tableNotice === "due") {
      this.#tableNotice = "given";
      frame = withoutTable(headers);
    }
    const at = this.output.reserve(frame.length);
    const { bytes } = this.output;
    bytes.set(frame, at);
    writeUint32(bytes, at + 5, id);
  }

  /** A frame whose payload is one or two numbers, as most of those without a stream's data are. */
  control(type: number, id: number, first: number, second?: number): void {
    const at = this.output.frame(second === undefined ? 4 : 8, type, 0, id);
    writeUint32(this.output.bytes, at, first);
    if (second !== undefined) writeUint32(this.output.bytes, at + 4, second);
  }

  /** Sends one gRPC message; where a window holds it back, {@link pump} does. Returns whether it waits for that. */
  message(stream: SendingStream, message: Uint8Array, start: number, end: number): boolean {
    if (!stream.isHeadSent) {
      stream.isHeadSent = true;
      this.template(RESPONSE_HEAD, stream.id);
    }
    const length = PREFIX_BYTES + end - start;
    // Who waits for the window has it first.
    if (
      stream.backlog !== undefined ||
      this.#ready.size > 0 ||
      length > stream.sendWindow ||
      length > this.#window ||
      length > this.#maxFrame ||
      this.output.pending > PAUSE_READING_BYTES
    ) {
      const prefix = new Uint8Array(PREFIX_BYTES);
      writeUint32(prefix, 1, end - start);
      this.#queue(stream, prefix);
      if (end > start) this.#queue(stream, message.subarray(start, end));
      return true;
    }
    const at = this.output.frame(length, FRAME.DATA, 0, stream.id);
    const { bytes } = this.output;
    bytes[at] = 0;
    writeUint32(bytes, at + 1, end - start);
    copy.call(message, bytes, at + PREFIX_BYTES, start, end);
    stream.sendWindow -= length;
    this.#window -= length;
    return false;
  }

  /** Sends bytes that are all of an answer's body. */
  lastBytes(stream: SendingStream, bytes: Uint8Array): void {
    this.#queue(stream, bytes).end = "with_bytes";
  }

  /** Whether there is more that the windows would let through. */
  get canPump(): boolean {
    return this.#ready.size > 0 && this.#window > 0;
  }

  /** Writes what the windows let through, a frame of each stream in turn, until as much waits for the socket as may. */
  pump(): void {
    for (const stream of this.#ready) {
      if (this.#window <= 0 || this.output.pending > PAUSE_READING_BYTES) return;
      this.#ready.delete(stream);
      // SETTINGS may have made it negative.
      if (stream.sendWindow <= 0) continue;
      this.#sendFrame(stream, stream.backlog!);
      // A set goes over what is added while it is gone over: the stream's next turn comes after the others'.
      if (stream.backlog !== undefined && stream.sendWindow > 0) this.#ready.add(stream);
    }
  }

  /** Forgets what a stream still had to send. */
  drop(stream: SendingStream): void {
    const { backlog } = stream;
    if (backlog === undefined) return;
    this.#backlogBytes -= backlog.bytes + MESSAGE_OVERHEAD_BYTES * (backlog.pieces.length - backlog.index);
    stream.backlog = undefined;
    this.waiting.delete(stream);
    this.#ready.delete(stream);
  }

  /** The peer gives the connection a larger window. */
  widen(by: number): void {
    this.#window += by;
    if (this.#window > LARGEST_WINDOW) {
      throw new ConnectionError(CODE.FLOW_CONTROL_ERROR, "the connection's window is too large");
    }
  }

  /** The peer gives a stream a larger window; false if it is too large. */
  widenStream(stream: SendingStream, by: number): boolean {
    stream.sendWindow += by;
    if (stream.sendWindow > LARGEST_WINDOW) return false;
    if (stream.backlog !== undefined && stream.sendWindow > 0) this.#ready.add(stream);
    return true;
  }

  /** The peer changes what it takes (section 6.9.2). */
  adjust(settings: PeerSettings, streams: Iterable<SendingStream>): void {
    const { initialWindow, maxFrame, headerTable = DEFAULT_HEADER_TABLE } = settings;
    if (headerTable < DEFAULT_HEADER_TABLE && this.#tableNotice === "none") this.#tableNotice = "due";
    // What it may take is no duty: frames as large as ours are, so that no answer makes another wait for long.
    if (maxFrame !== undefined) this.#maxFrame = Math.min(maxFrame, LARGEST_SENT_FRAME);
    if (initialWindow === undefined || initialWindow === this.#initialWindow) return;
    const by = initialWindow - this.#initialWindow;
    this.#initialWindow = initialWindow;
    for (const stream of streams) {
      if (!this.widenStream(stream, by)) {
        throw new ConnectionError(CODE.FLOW_CONTROL_ERROR, "a stream's window is too large");
      }
    }
  }

  #queue(stream: SendingStream, bytes: Uint8Array): Backlog {
    stream.backlog ??= new Backlog();
    const { backlog } = stream;
    backlog.pieces.push(bytes);
    backlog.bytes += bytes.length;
    this.#backlogBytes += bytes.length + MESSAGE_OVERHEAD_BYTES;
    this.waiting.add(stream);
    if (stream.sendWindow > 0) this.#ready.add(stream);
    return backlog;
  }

  #sendFrame(stream: SendingStream, backlog: Backlog): void {
    const length = Math.min(stream.sendWindow, this.#window, this.#maxFrame, backlog.bytes);
    const isEnd = backlog.end === "with_bytes" && length === backlog.bytes;
    let at = this.output.frame(length, FRAME.DATA, isEnd ? FLAG.END_STREAM : 0, stream.id);
    const end = at + length;
    const { pieces } = backlog;
    while (at < end) {
      const piece = pieces[backlog.index]!;
      const taken = Math.min(end - at, piece.length - backlog.offset);
      this.output.bytes.set(
        taken === piece.length ? piece : piece.subarray(backlog.offset, backlog.offset + taken),
        at,
      );
      at += taken;
      backlog.offset += taken;
      if (backlog.offset < piece.length) continue;
      backlog.offset = 0;
      pieces[backlog.index++] = NOTHING;
      this.#backlogBytes -= MESSAGE_OVERHEAD_BYTES;
    }
    backlog.bytes -= length;
    backlog.hasMoved = true;
    this.#backlogBytes -= length;
    stream.sendWindow -= length;
    this.#window -= length;
    if (backlog.index > LONG_QUEUE) {
      pieces.splice(0, backlog.index);
      backlog.index = 0;
    }
    if (backlog.bytes > 0) return;
    this.drop(stream);
    if (backlog.end === undefined) return;
    if (backlog.end !== "with_bytes") this.template(backlog.end, stream.id);
    this.#onEnd(stream);
  }
}
