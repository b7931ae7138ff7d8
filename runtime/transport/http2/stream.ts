// One HTTP/2 stream that is one gRPC call: messages out of DATA, answers into it.
import type { IncomingStream, OutgoingStream } from "../transport.ts";
import { type AssemblyMemory, MessageAssembly, PREFIX_BYTES } from "./assembly.ts";
import { CODE, FRAME, readUint32 } from "./frames.ts";
import { staysInPlace } from "./message-place.ts";
import type { RequestHead } from "./request-head.ts";
import { OK_TRAILERS, onlyTrailersFrame, type PlainAnswer, STATUS, trailersFrame } from "./responses.ts";
import type { Backlog, Sender } from "./sender.ts";

/** Bytes that a peer may send on a stream ahead of what was taken: most bodies, without asking. */
export const STREAM_WINDOW = 262_144;
/** What a stream needs of its connection. */
export interface StreamHost {
  readonly sender: Sender;
  readonly memory: AssemblyMemory;
  readonly maxMessageBytes: number;
  /** Something was written, perhaps at a time when nothing was read. */
  wake(): void;
  /** The peer broke a rule of a stream, which is as good as a reset by it. */
  faulted(): void;
  /** Neither side says any more on it. */
  close(stream: GrpcStream): void;
  /** The receiver threw. */
  report(error: unknown): void;
  /** Whether a stream's answers may wait with all the others. */
  mayWait(): boolean;
}

/** See the head of the file. */
export class GrpcStream implements OutgoingStream {
  readonly id: number;
  readonly #host: StreamHost;
  sendWindow: number;
  isHeadSent = false;
  backlog: Backlog | undefined;
  receiveWindow = STREAM_WINDOW;
  /** The peer has ended its half. */
  isRemoteEnded = false;
  /** Nothing more is accepted from the receiver; then: all of it is on its way. */
  #isEnding = false;
  isLocalEnded = false;
  /** It is no part of the connection any more. */
  isClosed = false;
  /** Since when the peer has left its half open, for the clock. */
  #lingersSince: number | undefined;
  /** What content-length left to come. */
  #expected: number | undefined;
  #receiver: IncomingStream | undefined;
  #assembly: MessageAssembly | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(id: number, host: StreamHost) {
    this.id = id;
    this.#host = host;
    this.sendWindow = host.sender.initialWindow;
  }

  /** Hands the call to whoever serves it. */
  begin(head: RequestHead): void {
    this.#expected = head.contentLength;
    if (head.timeoutMs !== undefined) this.#startClock(head.timeoutMs);
    try {
      this.#receiver = head.accept!(head, this);
    } catch (error) {
      this.#failed(error);
    }
  }

  send(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
    if (this.#isEnding || this.isClosed) return false;
    const waits = this.#host.sender.message(this, bytes, start, end);
    if (waits && !this.#host.mayWait()) this.reset(CODE.ENHANCE_YOUR_CALM);
    this.#host.wake();
    return waits;
  }

  end(): void {
    this.#finish(this.isHeadSent ? OK_TRAILERS : onlyTrailersFrame(STATUS.OK, ""));
  }

  fail(message: string, status: number = STATUS.INTERNAL): void {
    this.#endWith(status, message);
  }

  /** Ends itself if the peer leaves it half open behind the server's end, or stops within a message, for too long. */
  check(now: number, { lingerMs, stallTimeoutMs }: { lingerMs: number; stallTimeoutMs: number }): void {
    if (this.isLocalEnded) {
      this.#lingersSince ??= now;
      if (now - this.#lingersSince > lingerMs) this.reset(CODE.NO_ERROR);
    } else if (this.#assembly?.isStuck(now, stallTimeoutMs) === true) {
      this.refuse(STATUS.DEADLINE_EXCEEDED, "The rest of a message has not come in time");
    }
  }

  /** Gives an answer that is no gRPC. */
  answerPlainly({ head, body }: PlainAnswer, contentLength: number | undefined): void {
    this.#expected = contentLength;
    this.#isEnding = true;
    this.#host.sender.template(head, this.id);
    this.#host.sender.lastBytes(this, body);
    this.#host.wake();
  }

  /** Gives an answer without a message. */
  answerStatus(frame: Buffer): void {
    this.#finish(frame);
  }

  /** DATA came, without its padding. */
  data(bytes: Buffer, start: number, end: number): void {
    if (this.#expected !== undefined) {
      this.#expected -= end - start;
      if (this.#expected < 0) return this.fault(CODE.PROTOCOL_ERROR);
    }
    let at = start;
    while (at < end && !this.#isDeaf) {
      if (this.#assembly !== undefined || end - at < PREFIX_BYTES) {
        at = this.#assemble(bytes, at, end);
        continue;
      }
      const length = readUint32(bytes, at + 1);
      if (bytes[at] !== 0 || length > end - at - PREFIX_BYTES) {
        at = this.#assemble(bytes, at, end);
        continue;
      }
      at += PREFIX_BYTES;
      if (length > this.#host.maxMessageBytes) return this.#refuseSize(length);
      this.#deliverFrom(bytes, at, at + length);
      at += length;
    }
    // A message that has begun has a window of its own, but not before its length is known.
    if (this.#assembly?.flag !== undefined) this.#assembly.allowRest();
    else if (this.receiveWindow < STREAM_WINDOW / 2) this.allow(0);
  }

  /** The peer ends its half. */
  remoteEnd(): void {
    this.isRemoteEnded = true;
    if (this.#expected !== undefined && this.#expected > 0) return this.fault(CODE.PROTOCOL_ERROR);
    if (this.isLocalEnded) return this.#host.close(this);
    if (this.#isEnding) return;
    if (this.#assembly !== undefined)
      return this.refuse(STATUS.INTERNAL, "The request ends within a message");
    try {
      this.#receiver?.halfClose();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Lets the peer send so many bytes, and what it usually may. */
  allow(bytes: number): void {
    if (this.isRemoteEnded || this.isClosed) return;
    const by = bytes + STREAM_WINDOW - this.receiveWindow;
    this.receiveWindow += by;
    this.#host.sender.control(FRAME.WINDOW_UPDATE, this.id, by);
    this.#host.wake();
  }

  /** Ends the call by the transport's own decision. */
  refuse(status: number, text: string): void {
    this.#host.sender.drop(this);
    this.#isEnding = false;
    this.#endWith(status, text);
    // It may be in the midst of a message that nobody wants.
    if (!this.isClosed) this.reset(CODE.NO_ERROR);
  }

  /** Ends the stream because the peer broke a rule of it, as it may do only so often. */
  fault(code: number): void {
    this.reset(code);
    this.#host.faulted();
  }

  /** Ends the stream at once. */
  reset(code: number): void {
    if (this.isClosed) return;
    this.#host.sender.control(FRAME.RST_STREAM, this.id, code);
    this.#host.close(this);
    this.#host.wake();
  }

  /** All of the answer has gone out. */
  sent(): void {
    this.isLocalEnded = true;
    clearTimeout(this.#deadline);
    if (this.isRemoteEnded) this.#host.close(this);
  }

  /** Gives back what it holds. */
  release(): void {
    this.isClosed = true;
    clearTimeout(this.#deadline);
    this.#forgetMessage();
    this.#host.sender.drop(this);
  }

  /** Tells the receiver that it is over; called once. */
  cancel(): void {
    try {
      this.#receiver?.cancel();
    } catch (error) {
      this.#host.report(error);
    }
  }

  /** Nothing that comes is of use. */
  get #isDeaf(): boolean {
    return this.#isEnding || this.isClosed;
  }

  #assemble(bytes: Buffer, start: number, end: number): number {
    this.#assembly ??= new MessageAssembly(this.#host.memory, this);
    const assembly = this.#assembly;
    const wasBegun = assembly.flag !== undefined;
    const at = assembly.take(bytes, start, end);
    if (assembly.flag === undefined) return at;
    if (!wasBegun && !this.#beginMessage(assembly, end - at)) return end;
    if (!assembly.isWhole) return at;
    this.#assembly = undefined;
    assembly.release();
    this.#deliver(assembly.message, 0, assembly.length);
    return at;
  }

  #beginMessage(assembly: MessageAssembly, arrived: number): boolean {
    if (assembly.flag !== 0) this.refuse(STATUS.UNIMPLEMENTED, "Compressed messages are not taken");
    else if (assembly.length > this.#host.maxMessageBytes) this.#refuseSize(assembly.length);
    else if (!assembly.begin(arrived)) this.refuse(STATUS.RESOURCE_EXHAUSTED, "Too many messages at once");
    else return true;
    return false;
  }

  #refuseSize(length: number): void {
    const most = this.#host.maxMessageBytes;
    this.refuse(STATUS.RESOURCE_EXHAUSTED, `A message has ${length} bytes, at most ${most} are taken`);
  }

  /** Nobody waits for the rest of the message that comes. */
  #forgetMessage(): void {
    this.#assembly?.release();
    this.#assembly = undefined;
  }

  /** A message is handed on where it lies, unless that would keep much more alive. */
  #deliverFrom(bytes: Buffer, start: number, end: number): void {
    if (staysInPlace(bytes.length, end - start)) return this.#deliver(bytes, start, end);
    this.#deliver(Buffer.from(bytes.subarray(start, end)), 0, end - start);
  }

  #deliver(bytes: Uint8Array, start: number, end: number): void {
    try {
      this.#receiver?.message(bytes, start, end);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#host.report(error);
    this.fail("The server failed");
  }

  #endWith(status: number, text: string): void {
    this.#finish(this.isHeadSent ? trailersFrame(status, text) : onlyTrailersFrame(status, text));
  }

  #finish(frame: Buffer): void {
    if (this.#isEnding || this.isClosed) return;
    this.#isEnding = true;
    this.#forgetMessage();
    if (this.backlog !== undefined) {
      this.backlog.end = frame;
    } else {
      this.#host.sender.template(frame, this.id);
      this.sent();
    }
    this.#host.wake();
  }

  #startClock(timeoutMs: number): void {
    const ms = Math.min(timeoutMs, 0x7fffffff);
    this.#deadline = setTimeout(() => this.refuse(STATUS.DEADLINE_EXCEEDED, "The deadline has passed"), ms);
  }
}
