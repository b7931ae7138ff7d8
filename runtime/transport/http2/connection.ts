// One connection: its beginning, its end, and what goes out in each turn. What comes is in peer-frames.ts.
import type { EngineLogger } from "../../observability/log.ts";
import type { AssemblyMemory } from "./assembly.ts";
import type { Ending } from "./closed-streams.ts";
import { ConnectionClock, isStuck, type Phase } from "./connection-clock.ts";
import { writeGoAway, writePing, writeSettings } from "./control-frames.ts";
import { FloodGuard } from "./flood-guard.ts";
import { FrameReader } from "./frame-reader.ts";
import { CODE, ConnectionError, DEFAULT_WINDOW, FRAME, LARGEST_STREAM_ID } from "./frames.ts";
import { type Http2Limits, PAUSE_READING_BYTES } from "./limits.ts";
import type { ByteSink } from "./output.ts";
import { CONNECTION_WINDOW, type FrameHost, PeerFrames } from "./peer-frames.ts";
import { RequestDecoder } from "./request-decoder.ts";
import type { Services } from "./request-head.ts";
import { Sender } from "./sender.ts";
import { ownSettings } from "./settings.ts";
import { type GrpcStream, STREAM_WINDOW } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

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
export class Http2Connection implements FrameHost {
  readonly sender: Sender;
  readonly streams = new StreamTable();
  readonly memory: AssemblyMemory;
  readonly maxMessageBytes: number;
  readonly maxStreams: number;
  readonly #socket: ConnectionSocket;
  readonly #limits: Http2Limits;
  readonly #log: EngineLogger;
  readonly #reader: FrameReader;
  readonly #frames: PeerFrames;
  readonly #guard: FloodGuard;
  readonly #clock: ConnectionClock;
  #phase: Phase = "open";
  #isPaused = false;
  /** Within a turn everything is written at its end; else as soon as what runs now has run. */
  #inTurn = false;
  #isSettleDue = false;

  constructor(settings: ConnectionSettings, socket: ConnectionSocket, now: number) {
    const { services, limits, log, memory, maxMessageBytes } = settings;
    this.memory = memory;
    this.maxMessageBytes = maxMessageBytes;
    this.maxStreams = limits.maxStreams;
    this.#socket = socket;
    this.#limits = limits;
    this.#log = log;
    this.sender = new Sender(({ id }) => this.streams.get(id)?.sent());
    this.#guard = new FloodGuard(limits);
    this.#frames = new PeerFrames(this, { guard: this.#guard, decoder: new RequestDecoder(services) });
    this.#reader = new FrameReader(this.#frames);
    this.#clock = new ConnectionClock(limits, now);
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
    this.streams.tellEnded();
  }

  /** The socket is closed. */
  gone(): void {
    this.#phase = "over";
    this.sender.output.clear();
    this.streams.abandon();
    this.streams.tellEnded();
  }

  /** Takes no more streams, and closes when those that there are have ended. */
  drain(): void {
    if (this.#phase !== "open") return;
    this.#phase = "draining";
    this.#clock.beginPhase();
    if (!this.#frames.isGreeted) return this.terminate();
    // Streams that are on their way are still taken: the peer answers the PING when it has read that it is to stop.
    this.#goAway(LARGEST_STREAM_ID, CODE.NO_ERROR, "");
    writePing(this.sender.output, DRAIN_MARK);
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
      isGreeted: this.#frames.isGreeted,
      isPaused: this.#isPaused,
      taken: output.taken,
      pending: output.pending,
    };
    switch (this.#clock.check(state)) {
      case "terminate":
        this.#log.debug("Broke off a connection that takes too long", { phase: this.#phase });
        return this.terminate();
      case "ask":
        writePing(this.sender.output, 0);
        break;
      case "go_on":
        this.#keepLastStreams();
        break;
      case undefined:
    }
    for (const stream of waiting) {
      if (isStuck(stream.backlog!, now, this.#limits.stallTimeoutMs)) {
        this.streams.get(stream.id)?.reset(CODE.ENHANCE_YOUR_CALM);
      }
    }
    for (const stream of this.streams.values()) {
      stream.check(now, this.#limits);
    }
    this.#settle();
  }

  // What streams and frames need of their connection.

  wake(): void {
    if (this.#inTurn || this.#isSettleDue) return;
    this.#isSettleDue = true;
    queueMicrotask(this.#settleLater);
  }

  close(stream: GrpcStream): void {
    this.closed(stream, stream.isRemoteEnded ? "ended" : "ours");
  }

  closed(stream: GrpcStream, ending: Ending): void {
    this.streams.close(stream, ending);
    if (this.#phase === "last_streams" && this.streams.size === 0) this.#enter("ending");
  }

  faulted(): void {
    this.#guard.count("resets");
  }

  ponged(mark: number): void {
    if (mark === DRAIN_MARK && this.#phase === "draining") this.#keepLastStreams();
  }

  report(error: unknown): void {
    this.#log.error("A stream's receiver failed", { error });
  }

  mayWait(): boolean {
    return this.sender.unread <= this.#limits.unreadBytes;
  }

  #greet(): void {
    const { maxStreams } = this.#limits;
    writeSettings(this.sender.output, ownSettings({ maxStreams, streamWindow: STREAM_WINDOW }));
    this.sender.control(FRAME.WINDOW_UPDATE, 0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    this.#settle();
  }

  #goAway(lastId: number, code: number, text: string): void {
    writeGoAway(this.sender.output, { lastId, code, text });
  }

  #keepLastStreams(): void {
    this.streams.takeNoMore();
    this.#goAway(this.streams.lastTaken, CODE.NO_ERROR, "");
    this.#enter(this.streams.size === 0 ? "ending" : "last_streams");
  }

  #giveUp(error: unknown): void {
    const known = error instanceof ConnectionError;
    if (known) this.#log.debug("Closed a connection", { code: error.code, reason: error.message });
    else this.#log.error("Closed a connection", { error });
    this.streams.abandon();
    this.#goAway(
      this.streams.lastTaken,
      known ? error.code : CODE.INTERNAL_ERROR,
      known ? error.message : "",
    );
    this.#enter("ending");
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#clock.beginPhase();
  }

  /** Ends a turn. */
  #settle(): void {
    this.streams.tellEnded();
    this.#flush();
  }

  readonly #settleLater = (): void => {
    this.#isSettleDue = false;
    this.#settle();
  };

  #flush(): void {
    if (this.#phase === "over") return;
    const { output } = this.sender;
    do {
      this.sender.pump();
      if (!output.flush(this.#socket)) return;
    } while (output.pending === 0 && this.sender.canPump);
    const isFull = output.pending > PAUSE_READING_BYTES;
    if (isFull !== this.#isPaused) {
      this.#isPaused = isFull;
      if (isFull) this.#socket.pause();
      else this.#socket.resume();
    }
    if (this.#phase !== "ending" || output.pending > 0) return;
    this.#enter("over");
    this.#socket.end();
  }
}
