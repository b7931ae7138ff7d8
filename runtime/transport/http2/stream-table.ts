import { ClosedStreams, type Ending } from "./closed-streams.ts";
import { LARGEST_STREAM_ID } from "./frames.ts";
import { OpenStreams } from "./open-streams.ts";
import type { GrpcStream } from "./stream.ts";

/** The streams of a connection, those that are open and those that were (RFC 9113 section 5.1). */
export class StreamTable {
  readonly #open = new OpenStreams();
  readonly #closed = new ClosedStreams();
  /** Those whose receivers are to be told at the end of the turn, when none of them is at work. */
  #ended: GrpcStream[] = [];
  /** The last that the peer has opened. */
  lastId = 0;
  #lastToTake = LARGEST_STREAM_ID;

  get size(): number {
    return this.#open.size;
  }

  /** The last that may have been served. Once no more are taken it stays as it is. */
  get lastTaken(): number {
    return Math.min(this.lastId, this.#lastToTake);
  }

  /** Whether nobody has opened it: those with even numbers are the server's, which opens none. */
  isIdle(id: number): boolean {
    return id > this.lastId || (id & 1) === 0;
  }

  get(id: number): GrpcStream | undefined {
    return this.#open.get(id);
  }

  /** All that are open at this moment. */
  values(): GrpcStream[] {
    return this.#open.values();
  }

  /** Whether one more may be opened. */
  takes(id: number, most: number): boolean {
    return id <= this.#lastToTake && this.#open.size < most;
  }

  /** Takes no more than have been opened by now. */
  takeNoMore(): void {
    this.#lastToTake = this.lastId;
  }

  add(stream: GrpcStream): void {
    this.#open.add(stream);
  }

  /** One is refused before it is anything. */
  refuse(id: number): void {
    this.#closed.add(id, "ours");
  }

  close(stream: GrpcStream, ending: Ending): void {
    if (stream.isClosed) return;
    this.#open.delete(stream.id);
    this.#closed.add(stream.id, ending);
    stream.release();
    this.#ended.push(stream);
  }

  /** Closes all without a word. */
  abandon(): void {
    for (const stream of this.#open.values()) {
      stream.release();
      this.#ended.push(stream);
    }
    this.#open.clear();
  }

  /** How a stream ended that is not open; undefined for one that was not one of the last. */
  endingOf(id: number): Ending | undefined {
    return this.#closed.find(id);
  }

  /** Tells the receivers of streams that have ended. */
  tellEnded(): void {
    if (this.#ended.length === 0) return;
    const ended = this.#ended;
    this.#ended = [];
    for (const stream of ended) stream.cancel();
  }
}
