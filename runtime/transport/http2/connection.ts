// One connection: what each frame means (RFC 9113 section 6) and which streams there are (section 5).
import type { EngineLogger } from "../../observability/log.ts";
import type { AssemblyMemory } from "./assembly.ts";
import { ClosedStreams, type Ending } from "./closed-streams.ts";
import { ConnectionClock, isStuck, type Phase } from "./connection-clock.ts";
import { FloodGuard } from "./flood-guard.ts";
import { type FrameHandler, FrameReader } from "./frame-reader.ts";
import {
  CODE,
  ConnectionError,
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  LARGEST_STREAM_ID,
  readUint31,
  readUint32,
  writeUint32,
} from "./frames.ts";
import { HeaderBlock } from "./header-block.ts";
import { type Http2Limits, PAUSE_READING_BYTES } from "./limits.ts";
import type { ByteSink } from "./output.ts";
import { RequestDecoder } from "./request-decoder.ts";
import { areTrailers, type RequestHead, type Services } from "./request-head.ts";
import { HEADERS_TOO_LARGE, UNKNOWN_METHOD, UNSUPPORTED_MEDIA_TYPE } from "./responses.ts";
import { Sender, type SendingStream } from "./sender.ts";
import { ownSettings, readSettings } from "./settings.ts";
import { GrpcStream, STREAM_WINDOW, type StreamHost } from "./stream.ts";

/** Bytes that a peer may send on all streams ahead of what was taken. */
const CONNECTION_WINDOW = 16_777_216;
const PING_BYTES = 8;
const GOAWAY_BYTES = 8;
const PRIORITY_BYTES = 5;
/** Marks the PING whose answer shows that the peer has read the GOAWAY before it. */
const DRAIN_MARK = 0x64_72_61_69;

/** The bytes below a connection. */
export interface ConnectionSocket extends ByteSink {
  /** Sends what was written, and then that nothing more comes. */
  end(): void;
  /** Breaks off. */
  terminate(): void;
  pause(): void;
  resume(): void;
}

/** What all connections of a server share. */
export interface ConnectionSettings {
  readonly services: Services;
  readonly maxMessageBytes: number;
  readonly limits: Http2Limits;
  readonly memory: AssemblyMemory;
  readonly log: EngineLogger;
}

/** See the head of the file. */
export class Http2Connection implements FrameHandler, StreamHost {
  readonly sender: Sender;
  readonly memory: AssemblyMemory;
  readonly maxMessageBytes: number;
  readonly #socket: ConnectionSocket;
  readonly #limits: Http2Limits;
  readonly #log: EngineLogger;
  readonly #reader: FrameReader;
  readonly #decoder: RequestDecoder;
  readonly #guard: FloodGuard;
  readonly #streams = new Map<number, GrpcStream>();
  readonly #closed = new ClosedStreams();
  readonly #clock: ConnectionClock;
  /** Streams whose receivers are to be told at the end of the turn, when none of them is at work. */
  #toCancel: GrpcStream[] = [];
  #block: HeaderBlock | undefined;
  #lastId = 0;
  /** Streams above it are refused. */
  #lastTaken = LARGEST_STREAM_ID;
  #receiveWindow = CONNECTION_WINDOW;
  #phase: Phase = "open";
  #isGreeted = false;
  #isPaused = false;
  /** Within a turn everything is written at its end; else as soon as what runs now has run. */
  #inTurn = false;
  #isSettleDue = false;

  constructor(settings: ConnectionSettings, socket: ConnectionSocket, now: number) {
    const { services, limits, log, memory, maxMessageBytes } = settings;
    this.memory = memory;
    this.maxMessageBytes = maxMessageBytes;
    this.#socket = socket;
    this.#limits = limits;
    this.#log = log;
    this.#reader = new FrameReader(this);
    this.#decoder = new RequestDecoder(services);
    this.#guard = new FloodGuard(limits);
    this.#clock = new ConnectionClock(limits, now);
    this.sender = new Sender(({ id }: SendingStream) => this.#streams.get(id)?.sent());
    this.#greet();
  }

  get isOver(): boolean {
    return this.#phase === "ending" || this.#phase === "over";
  }

  /** Bytes came. */
  receive(chunk: Buffer): void {
    if (this.isOver) return;
    this.#clock.hasHeard = true;
    this.#inTurn = true;
    try {
      this.#reader.read(chunk);
    } catch (error) {
      this.#giveUp(error);
    }
    this.#inTurn = false;
    this.#settle();
  }

  /** The socket takes more. */
  drained(): void {
    this.#inTurn = true;
    this.#flush();
    this.#inTurn = false;
    this.#tellCancelled();
  }

  /** The socket is closed. */
  gone(): void {
    this.#phase = "over";
    this.sender.output.clear();
    this.#abandon();
    this.#tellCancelled();
  }

  /** Takes no more streams, and closes when those that there are have ended. */
  drain(): void {
    if (this.#phase !== "open") return;
    this.#phase = "draining";
    this.#clock.beginPhase();
    if (!this.#isGreeted) return this.terminate();
    // Streams that are on their way are still taken: the peer answers the PING when it has read that it is to stop.
    this.#goAway(LARGEST_STREAM_ID, CODE.NO_ERROR, "");
    this.#ping(DRAIN_MARK);
    this.#settle();
  }

  /** Breaks off, and with it every stream: none of them ends well. */
  terminate(): void {
    this.gone();
    this.#socket.terminate();
  }

  /** Looks after what takes too long; called once a second. */
  tick(now: number): void {
    this.#guard.restart();
    const { output, waiting } = this.sender;
    const state = {
      now,
      phase: this.#phase,
      isGreeted: this.#isGreeted,
      isPaused: this.#isPaused,
      taken: output.taken,
      pending: output.pending,
    };
    switch (this.#clock.check(state)) {
      case "terminate":
        this.#log.debug("Broke off a connection that takes too long", { phase: this.#phase });
        return this.terminate();
      case "ask":
        this.#ping(0);
        break;
      case "go_on":
        this.#keepLastStreams();
        break;
      case undefined:
    }
    for (const stream of waiting) {
      if (isStuck(stream.backlog!, now, this.#limits.stallTimeoutMs)) {
        this.#streams.get(stream.id)?.reset(CODE.ENHANCE_YOUR_CALM);
      }
    }
    for (const stream of this.#streams.values()) {
      if (stream.lingers(now) > this.#limits.lingerMs) stream.reset(CODE.NO_ERROR);
    }
    this.#settle();
  }

  // What streams need of their connection.

  wake(): void {
    if (this.#inTurn || this.#isSettleDue) return;
    this.#isSettleDue = true;
    queueMicrotask(this.#settleLater);
  }

  close(stream: GrpcStream): void {
    this.#close(stream, stream.isRemoteEnded ? "ended" : "ours");
  }

  report(error: unknown): void {
    this.#log.error("A stream's receiver failed", { error });
  }

  mayWait(): boolean {
    return this.sender.unread <= this.#limits.unreadBytes;
  }

  /** Takes one frame; see {@link FrameHandler}. */
  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (this.#block !== undefined && type !== FRAME.CONTINUATION) {
      throw broken("a frame stands within a header block");
    }
    if (!this.#isGreeted && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      throw broken("the first frame is not SETTINGS");
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
        throw broken("a client pushes");
      case FRAME.PING:
        return this.#pinged(flags, id, bytes, start, end);
      case FRAME.GOAWAY:
        if (id !== 0) throw broken("GOAWAY is for the connection");
        if (end - start < GOAWAY_BYTES) throw badSize();
        return this.#guard.count("ignored");
      case FRAME.WINDOW_UPDATE:
        return this.#windowUpdate(id, bytes, start, end);
      case FRAME.CONTINUATION:
        return this.#continuation(flags, id, bytes, start, end);
      default:
        this.#guard.count("ignored");
    }
  }

  #close(stream: GrpcStream, ending: Ending): void {
    if (stream.isClosed) return;
    this.#streams.delete(stream.id);
    this.#closed.add(stream.id, ending);
    stream.release();
    this.#toCancel.push(stream);
    if (this.#phase === "last_streams" && this.#streams.size === 0) this.#enter("ending");
  }

  #data(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    // Padding counts, and bytes for streams that are over do too (section 6.9.1).
    const length = end - start;
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0)
      throw new ConnectionError(CODE.FLOW_CONTROL_ERROR, "more came than was allowed");
    if (this.#receiveWindow < CONNECTION_WINDOW / 2) this.#widen();
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#forNoStream(id, false);
    if (stream.isRemoteEnded) return stream.reset(CODE.STREAM_CLOSED);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return stream.reset(CODE.FLOW_CONTROL_ERROR);
    let from = start;
    let to = end;
    if ((flags & FLAG.PADDED) !== 0) {
      to = withoutPadding(bytes, start, end);
      from++;
    }
    const endsStream = (flags & FLAG.END_STREAM) !== 0;
    if (from < to) stream.data(bytes, from, to);
    else if (!endsStream) this.#guard.count("emptyData");
    if (endsStream && !stream.isClosed) stream.remoteEnd();
  }

  #headers(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if ((id & 1) === 0) throw broken("a client's stream has an odd number");
    let from = start;
    let to = end;
    if ((flags & FLAG.PADDED) !== 0) {
      to = withoutPadding(bytes, start, end);
      from++;
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (to - from < PRIORITY_BYTES) throw badSize();
      if (readUint31(bytes, from) === id) throw broken("a stream depends on itself");
      from += PRIORITY_BYTES;
    }
    const endsStream = (flags & FLAG.END_STREAM) !== 0;
    if ((flags & FLAG.END_HEADERS) !== 0) return this.#headerBlock(id, endsStream, bytes, from, to);
    this.#block = new HeaderBlock(id, endsStream, bytes.subarray(from, to));
  }

  #continuation(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (block?.streamId !== id) throw broken("CONTINUATION goes on with nothing");
    block.add(bytes.subarray(start, end));
    if ((flags & FLAG.END_HEADERS) === 0) return;
    this.#block = undefined;
    const joined = block.join();
    this.#headerBlock(id, block.endsStream, joined, 0, joined.length);
  }

  #headerBlock(id: number, endsStream: boolean, bytes: Buffer, start: number, end: number): void {
    if (id > this.#lastId) {
      this.#lastId = id;
      return this.#open(id, endsStream, this.#decoder.head(bytes, start, end));
    }
    const trailers = this.#decoder.trailers(bytes, start, end);
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#forNoStream(id, true);
    if (stream.isRemoteEnded) return stream.reset(CODE.STREAM_CLOSED);
    if (!endsStream || !areTrailers(trailers)) return stream.reset(CODE.PROTOCOL_ERROR);
    stream.remoteEnd();
  }

  #open(id: number, endsStream: boolean, head: RequestHead): void {
    this.#guard.count("streams");
    if (id > this.#lastTaken || this.#streams.size >= this.#limits.maxStreams) {
      this.#closed.add(id, "ours");
      return this.sender.control(FRAME.RST_STREAM, id, CODE.REFUSED_STREAM);
    }
    const stream = new GrpcStream(id, this);
    this.#streams.set(id, stream);
    switch (head.verdict) {
      case "accept":
        stream.begin(head);
        break;
      case "malformed":
        return stream.reset(CODE.PROTOCOL_ERROR);
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
    if (id === 0 || id > this.#lastId || (id & 1) === 0)
      throw broken("a frame is for a stream that is not open");
    this.#guard.count("ignored");
    const ending = this.#closed.find(id);
    if (ending === "ours") return;
    if (ending === "ended") {
      throw new ConnectionError(CODE.STREAM_CLOSED, "a frame is for a stream that is over");
    }
    // Long over, unless headers would open it.
    if (ending === undefined && isHeaders) throw broken("streams are opened in order");
    this.sender.control(FRAME.RST_STREAM, id, CODE.STREAM_CLOSED);
  }

  #priority(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw broken("PRIORITY is for a stream");
    if (end - start !== PRIORITY_BYTES) throw badSize();
    if (readUint31(bytes, start) === id) throw broken("a stream depends on itself");
    this.#guard.count("ignored");
  }

  #resetByPeer(id: number, length: number): void {
    if (id === 0 || id > this.#lastId) throw broken("RST_STREAM is for a stream that is not open");
    if (length !== 4) throw badSize();
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#guard.count("ignored");
    this.#guard.count("resets");
    this.#close(stream, "reset");
  }

  #settings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw broken("SETTINGS is for the connection");
    if ((flags & FLAG.ACK) !== 0) {
      if (end !== start) throw badSize();
      return this.#guard.count("ignored");
    }
    this.#guard.count("settings");
    const settings = readSettings(bytes, start, end);
    this.#isGreeted = true;
    // Before what the new windows let through, so that the peer knows them for what they are.
    this.sender.output.frame(0, FRAME.SETTINGS, FLAG.ACK, 0);
    this.sender.adjust(settings, this.#streams.values());
  }

  #pinged(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw broken("PING is for the connection");
    if (end - start !== PING_BYTES) throw badSize();
    if ((flags & FLAG.ACK) !== 0) {
      if (readUint32(bytes, start) === DRAIN_MARK && this.#phase === "draining") this.#keepLastStreams();
      return this.#guard.count("ignored");
    }
    this.#guard.count("pings");
    const at = this.sender.output.frame(PING_BYTES, FRAME.PING, FLAG.ACK, 0);
    bytes.copy(this.sender.output.bytes, at, start, end);
  }

  #windowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw badSize();
    const by = readUint31(bytes, start);
    if (id === 0) {
      if (by === 0) throw broken("a window grows by nothing");
      return this.sender.widen(by);
    }
    if (id > this.#lastId) throw broken("WINDOW_UPDATE is for a stream that is not open");
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#guard.count("ignored");
    if (by === 0) stream.reset(CODE.PROTOCOL_ERROR);
    else if (!this.sender.widenStream(stream, by)) stream.reset(CODE.FLOW_CONTROL_ERROR);
  }

  #greet(): void {
    const { maxStreams } = this.#limits;
    const payload = ownSettings({ maxStreams, streamWindow: STREAM_WINDOW });
    const at = this.sender.output.frame(payload.length, FRAME.SETTINGS, 0, 0);
    payload.copy(this.sender.output.bytes, at);
    this.sender.control(FRAME.WINDOW_UPDATE, 0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    this.#settle();
  }

  #widen(): void {
    this.sender.control(FRAME.WINDOW_UPDATE, 0, CONNECTION_WINDOW - this.#receiveWindow);
    this.#receiveWindow = CONNECTION_WINDOW;
  }

  #ping(mark: number): void {
    const at = this.sender.output.frame(PING_BYTES, FRAME.PING, 0, 0);
    writeUint32(this.sender.output.bytes, at, mark);
    writeUint32(this.sender.output.bytes, at + 4, 0);
  }

  #goAway(lastId: number, code: number, text: string): void {
    const debug = Buffer.from(text);
    const at = this.sender.output.frame(GOAWAY_BYTES + debug.length, FRAME.GOAWAY, 0, 0);
    const { bytes } = this.sender.output;
    writeUint32(bytes, at, lastId);
    writeUint32(bytes, at + 4, code);
    debug.copy(bytes, at + GOAWAY_BYTES);
  }

  #keepLastStreams(): void {
    this.#lastTaken = this.#lastId;
    this.#goAway(this.#lastId, CODE.NO_ERROR, "");
    this.#enter(this.#streams.size === 0 ? "ending" : "last_streams");
  }

  #giveUp(error: unknown): void {
    const known = error instanceof ConnectionError;
    if (known) this.#log.debug("Closed a connection", { code: error.code, reason: error.message });
    else this.#log.error("Closed a connection", { error });
    this.#abandon();
    this.#goAway(this.#lastId, known ? error.code : CODE.INTERNAL_ERROR, known ? error.message : "");
    this.#enter("ending");
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#clock.beginPhase();
  }

  /** Closes every stream without a word. */
  #abandon(): void {
    for (const stream of this.#streams.values()) {
      stream.release();
      this.#toCancel.push(stream);
    }
    this.#streams.clear();
  }

  /** Ends a turn. */
  #settle(): void {
    this.#tellCancelled();
    this.#flush();
  }

  readonly #settleLater = (): void => {
    this.#isSettleDue = false;
    this.#settle();
  };

  #tellCancelled(): void {
    if (this.#toCancel.length === 0) return;
    const streams = this.#toCancel;
    this.#toCancel = [];
    for (const stream of streams) stream.cancel();
  }

  #flush(): void {
    if (this.#phase === "over") return;
    const { output } = this.sender;
    do {
      if (!output.flush(this.#socket)) return;
    } while (output.pending === 0 && this.sender.pump());
    const isFull = output.pending > PAUSE_READING_BYTES;
    if (isFull !== this.#isPaused) {
      this.#isPaused = isFull;
      if (isFull) this.#socket.pause();
      else this.#socket.resume();
    }
    if (this.#phase !== "ending" || output.pending > 0) return;
    this.#phase = "over";
    this.#socket.end();
  }
}

/** The place where padding begins (section 6.1). */
function withoutPadding(bytes: Buffer, start: number, end: number): number {
  if (end === start) throw badSize();
  const to = end - bytes[start]!;
  if (to <= start) throw broken("a frame has more padding than payload");
  return to;
}

function broken(message: string): ConnectionError {
  return new ConnectionError(CODE.PROTOCOL_ERROR, message);
}

function badSize(): ConnectionError {
  return new ConnectionError(CODE.FRAME_SIZE_ERROR, "a frame has a size that its type has not");
}
