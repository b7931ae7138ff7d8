// What each frame of a client means (RFC 9113 section 6), and what is wrong with it.
import type { Ending } from "./closed-streams.ts";
import { GOAWAY_BYTES, PING_BYTES, writePingAnswer, writeSettingsAnswer } from "./control-frames.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { FrameHandler } from "./frame-reader.ts";
import {
  CODE,
  ConnectionError,
  FLAG,
  FRAME,
  frameSizeError,
  protocolError,
  readUint31,
  readUint32,
  withoutPadding,
} from "./frames.ts";
import { HeaderBlock } from "./header-block.ts";
import type { RequestDecoder } from "./request-decoder.ts";
import { areTrailers, type RequestHead } from "./request-head.ts";
import { HEADERS_TOO_LARGE, UNKNOWN_METHOD, UNSUPPORTED_MEDIA_TYPE } from "./responses.ts";
import type { Sender } from "./sender.ts";
import { readSettings } from "./settings.ts";
import { GrpcStream, type StreamHost } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

/** Bytes that a peer may send on all streams ahead of what was taken. */
export const CONNECTION_WINDOW = 16_777_216;
const PRIORITY_BYTES = 5;
const NUMBER_BYTES = 4;

/** What frames need of their connection. */
export interface FrameHost extends StreamHost {
  readonly sender: Sender;
  readonly streams: StreamTable;
  readonly maxStreams: number;
  /** Nothing more is to be read. */
  readonly isOver: boolean;
  closed(stream: GrpcStream, ending: Ending): void;
  /** An answer to a PING of ours came, with the first four bytes of what it was sent with. */
  ponged(mark: number): void;
}

/** See the head of the file. */
export class PeerFrames implements FrameHandler {
  readonly #host: FrameHost;
  readonly #sender: Sender;
  readonly #streams: StreamTable;
  readonly #guard: FloodGuard;
  readonly #decoder: RequestDecoder;
  #block: HeaderBlock | undefined;
  #receiveWindow = CONNECTION_WINDOW;
  /** The client's first SETTINGS has come. */
  isGreeted = false;

  constructor(host: FrameHost, { guard, decoder }: { guard: FloodGuard; decoder: RequestDecoder }) {
    this.#host = host;
    this.#sender = host.sender;
    this.#streams = host.streams;
    this.#guard = guard;
    this.#decoder = decoder;
  }

  get isOver(): boolean {
    return this.#host.isOver;
  }

  /** Takes one frame; see {@link FrameHandler}. */
  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (this.#block !== undefined && type !== FRAME.CONTINUATION) {
      throw protocolError("a frame stands within a header block");
    }
    if (!this.isGreeted && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      throw protocolError("the first frame is not SETTINGS");
    }
    switch (type) {
      case FRAME.DATA:
        return this.#data(flags, id, bytes, start, end);
      case FRAME.HEADERS:
        return this.#headers(flags, id, bytes, start, end);
      case FRAME.PRIORITY:
        return this.#priority(id, bytes, start, end);
      case FRAME.RST_STREAM:
        return this.#resetByPeer(id, end - start);
      case FRAME.SETTINGS:
        return this.#settings(flags, id, bytes, start, end);
      case FRAME.PUSH_PROMISE:
        throw protocolError("a client pushes");
      case FRAME.PING:
        return this.#pinged(flags, id, bytes, start, end);
      case FRAME.GOAWAY:
        if (id !== 0) throw protocolError("GOAWAY is for the connection");
        if (end - start < GOAWAY_BYTES) throw frameSizeError();
        return this.#guard.count("ignored");
      case FRAME.WINDOW_UPDATE:
        return this.#windowUpdate(id, bytes, start, end);
      case FRAME.CONTINUATION:
        return this.#continuation(flags, id, bytes, start, end);
      default:
        this.#guard.count("ignored");
    }
  }

  #data(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    // Padding counts, and bytes for streams that are over do too (section 6.9.1).
    const length = end - start;
    this.#receiveWindow -= length;
    // Made wide again long before a frame could overflow it: only streams' windows hold anyone back.
    if (this.#receiveWindow < CONNECTION_WINDOW / 2) this.#widen();
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#forNoStream(id, false);
    if (stream.isRemoteEnded) return stream.fault(CODE.STREAM_CLOSED);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return stream.fault(CODE.FLOW_CONTROL_ERROR);
    let from = start;
    let to = end;
    if ((flags & FLAG.PADDED) !== 0) {
      to = withoutPadding(bytes, start, end);
      from++;
    }
    const endsStream = (flags & FLAG.END_STREAM) !== 0;
    stream.data(bytes, from, to);
    if (from === to && !endsStream) this.#guard.count("emptyData");
    if (endsStream && !stream.isClosed) stream.remoteEnd();
  }

  #headers(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if ((id & 1) === 0) throw protocolError("a client's stream has an odd number");
    let from = start;
    let to = end;
    if ((flags & FLAG.PADDED) !== 0) {
      to = withoutPadding(bytes, start, end);
      from++;
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (to - from < PRIORITY_BYTES) throw frameSizeError();
      if (readUint31(bytes, from) === id) throw protocolError("a stream depends on itself");
      from += PRIORITY_BYTES;
    }
    const endsStream = (flags & FLAG.END_STREAM) !== 0;
    if ((flags & FLAG.END_HEADERS) !== 0) return this.#headerBlock(id, endsStream, bytes, from, to);
    this.#block = new HeaderBlock(id, endsStream, bytes.subarray(from, to));
  }

  #continuation(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (block?.streamId !== id) throw protocolError("CONTINUATION goes on with nothing");
    block.add(bytes.subarray(start, end));
    if ((flags & FLAG.END_HEADERS) === 0) return;
    this.#block = undefined;
    const joined = block.join();
    this.#headerBlock(id, block.endsStream, joined, 0, joined.length);
  }

  #headerBlock(id: number, endsStream: boolean, bytes: Buffer, start: number, end: number): void {
    if (id > this.#streams.lastId) {
      this.#streams.lastId = id;
      return this.#open(id, endsStream, this.#decoder.head(bytes, start, end));
    }
    const trailers = this.#decoder.trailers(bytes, start, end);
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#forNoStream(id, true);
    if (stream.isRemoteEnded) return stream.fault(CODE.STREAM_CLOSED);
    if (!endsStream || !areTrailers(trailers)) return stream.fault(CODE.PROTOCOL_ERROR);
    stream.remoteEnd();
  }

  #open(id: number, endsStream: boolean, head: RequestHead): void {
    this.#guard.count("streams");
    if (!this.#streams.takes(id, this.#host.maxStreams)) {
      this.#streams.refuse(id);
      return this.#sender.control(FRAME.RST_STREAM, id, CODE.REFUSED_STREAM);
    }
    const stream = new GrpcStream(id, this.#host);
    this.#streams.add(stream);
    switch (head.verdict) {
      case "accept":
        stream.begin(head);
        break;
      case "malformed":
        return stream.fault(CODE.PROTOCOL_ERROR);
      case "too_large":
        stream.answerPlainly(HEADERS_TOO_LARGE, head.contentLength);
        break;
      case "not_grpc":
        stream.answerPlainly(UNSUPPORTED_MEDIA_TYPE, head.contentLength);
        break;
      case "unknown":
        stream.answerStatus(UNKNOWN_METHOD);
    }
    if (endsStream && !stream.isClosed) stream.remoteEnd();
  }

  /** A frame came for a stream that there is not (section 5.1). */
  #forNoStream(id: number, isHeaders: boolean): void {
    if (this.#streams.isIdle(id)) throw protocolError("a frame is for a stream that is not open");
    this.#guard.count("ignored");
    const ending = this.#streams.endingOf(id);
    if (ending === "ours") return;
    if (ending === "ended") {
      throw new ConnectionError(CODE.STREAM_CLOSED, "a frame is for a stream that is over");
    }
    // Long over, unless headers would open it.
    if (ending === undefined && isHeaders) throw protocolError("streams are opened in order");
    this.#sender.control(FRAME.RST_STREAM, id, CODE.STREAM_CLOSED);
  }

  #priority(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw protocolError("PRIORITY is for a stream");
    if (end - start !== PRIORITY_BYTES) throw frameSizeError();
    if (readUint31(bytes, start) === id) throw protocolError("a stream depends on itself");
    this.#guard.count("ignored");
  }

  #resetByPeer(id: number, length: number): void {
    if (this.#streams.isIdle(id)) throw protocolError("RST_STREAM is for a stream that is not open");
    if (length !== NUMBER_BYTES) throw frameSizeError();
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#guard.count("ignored");
    this.#guard.count("resets");
    this.#host.closed(stream, "reset");
  }

  #settings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocolError("SETTINGS is for the connection");
    if ((flags & FLAG.ACK) !== 0) {
      if (end !== start) throw frameSizeError();
      return this.#guard.count("ignored");
    }
    this.#guard.count("settings");
    const settings = readSettings(bytes, start, end);
    this.isGreeted = true;
    // Before what the new windows let through, so that the peer knows them for what they are.
    writeSettingsAnswer(this.#sender.output);
    this.#sender.adjust(settings, this.#streams.values());
  }

  #pinged(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocolError("PING is for the connection");
    if (end - start !== PING_BYTES) throw frameSizeError();
    if ((flags & FLAG.ACK) !== 0) {
      this.#guard.count("ignored");
      return this.#host.ponged(readUint32(bytes, start));
    }
    this.#guard.count("pings");
    writePingAnswer(this.#sender.output, bytes, start);
  }

  #windowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== NUMBER_BYTES) throw frameSizeError();
    const by = readUint31(bytes, start);
    if (id === 0) {
      if (by === 0) throw protocolError("a window grows by nothing");
      return this.#sender.widen(by);
    }
    if (this.#streams.isIdle(id)) throw protocolError("WINDOW_UPDATE is for a stream that is not open");
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#guard.count("ignored");
    if (by === 0) stream.fault(CODE.PROTOCOL_ERROR);
    else if (!this.#sender.widenStream(stream, by)) stream.fault(CODE.FLOW_CONTROL_ERROR);
  }

  #widen(): void {
    this.#sender.control(FRAME.WINDOW_UPDATE, 0, CONNECTION_WINDOW - this.#receiveWindow);
    this.#receiveWindow = CONNECTION_WINDOW;
  }
}
