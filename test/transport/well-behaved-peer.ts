// A client that keeps every rule, in a random order and with awkward sizes, and holds the server to them too: no
// byte beyond a window, no frame behind an end, and every message comes back whole.
import { AssemblyMemory } from "../../runtime/transport/http2/assembly.ts";
import { STREAM_WINDOW } from "../../runtime/transport/http2/stream.ts";
import type { Random } from "../helpers/random.ts";
import {
  ACK,
  END_STREAM,
  type Frame,
  frame,
  grpcMessage,
  headers,
  PADDED,
  reset,
  settings,
  windowUpdate,
} from "./frames.ts";
import { PlayedPeer } from "./played-peer.ts";

const INITIAL_WINDOW = 4;
const MAX_FRAME_SIZE = 5;
const CONNECTION_WINDOW = 16_777_216;
const SIZES = [0, 1, 5, 100, 5_000, 16_379, 16_380, 70_000, 262_144, 400_000];
const STEPS = 60;

/** What the client knows of one stream. */
interface Known {
  readonly id: number;
  /** All that it is to send, and how far it is. */
  readonly bytes: Buffer;
  sent: number;
  /** What it may send, and what the server may. */
  toSend: number;
  toReceive: number;
  received: Buffer[];
  hasEnded: boolean;
  isReset: boolean;
  /** The server's end came. */
  isOver: boolean;
}

/** See the head of the file. */
export class WellBehavedPeer {
  readonly #random: Random;
  readonly #memory = new AssemblyMemory(1_500_000);
  readonly #peer = new PlayedPeer({ memory: this.#memory });
  readonly #streams: Known[] = [];
  #initialWindow = 65_535;
  #maxFrame = 16_384;
  #toSend = CONNECTION_WINDOW;
  #toReceive = 65_535;

  constructor(random: Random) {
    this.#random = random;
    this.#peer.greet();
  }

  /** Plays; gives what the server did wrong. */
  play(): string | undefined {
    try {
      for (let step = 0; step < STEPS; step++) this.#step();
      this.#finish();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #step(): void {
    const random = this.#random;
    const stream = this.#streams.length === 0 ? undefined : random.pick(this.#streams);
    const open = stream === undefined || stream.isReset || stream.isOver ? undefined : stream;
    switch (random.below(8)) {
      case 0:
        return this.#open();
      case 1:
      case 2:
      case 3:
        return open === undefined ? this.#open() : this.#sendSome(open, 1 + random.below(20_000));
      case 4:
        if (open !== undefined && random.chance(0.1)) {
          open.isReset = true;
          this.#send(reset(open.id));
        }
        return;
      case 5:
        return this.#changeSettings();
      case 6:
        // The socket takes little for a while.
        this.#peer.room = random.chance(0.5) ? random.below(5_000) : Number.POSITIVE_INFINITY;
        this.#peer.connection.drained();
        return this.#check();
      default:
        return this.#widen(
          random.chance(0.5) ? undefined : open,
          1 + random.below(random.pick([10, 1_000, 100_000])),
        );
    }
  }

  #open(): void {
    const id = 1 + 2 * this.#streams.length;
    const messages = Array.from({ length: this.#random.below(4) }, () => {
      const size = this.#random.pick(SIZES);
      return grpcMessage(Buffer.alloc(size, 97 + this.#random.below(26)));
    });
    this.#streams.push({
      ...{ id, bytes: Buffer.concat(messages), sent: 0, received: [] },
      ...{ toSend: STREAM_WINDOW, toReceive: this.#initialWindow },
      ...{ hasEnded: false, isReset: false, isOver: false },
    });
    this.#send(headers(id));
  }

  #sendSome(stream: Known, wanted: number): void {
    if (stream.hasEnded) return;
    const left = stream.bytes.length - stream.sent;
    const room = Math.min(16_384, stream.toSend, this.#toSend);
    const padding = this.#random.chance(0.2) ? Buffer.alloc(this.#random.below(256)) : undefined;
    const around = padding === undefined ? 0 : 1 + padding.length;
    if (around > room) return;
    const size = Math.min(wanted, left, room - around);
    const isEnd = size === left && this.#random.chance(0.5);
    const bytes = stream.bytes.subarray(stream.sent, stream.sent + size);
    stream.sent += size;
    stream.toSend -= size + around;
    this.#toSend -= size + around;
    stream.hasEnded = isEnd;
    const flags = (isEnd ? END_STREAM : 0) | (padding === undefined ? 0 : PADDED);
    const payload =
      padding === undefined ? bytes : Buffer.concat([Buffer.from([padding.length]), bytes, padding]);
    if (payload.length > 0 || isEnd) this.#send(frame("DATA", { id: stream.id, flags }, payload));
  }

  #changeSettings(): void {
    const initial = this.#random.pick([0, 1, 100, 65_535, 300_000]);
    const maxFrame = this.#random.pick([16_384, 20_000, 100_000]);
    this.#send(settings({ [INITIAL_WINDOW]: initial, [MAX_FRAME_SIZE]: maxFrame }), () => {
      for (const stream of this.#streams) stream.toReceive += initial - this.#initialWindow;
      this.#initialWindow = initial;
      this.#maxFrame = maxFrame;
    });
  }

  #widen(stream: Known | undefined, by: number): void {
    if (stream === undefined) this.#toReceive += by;
    else stream.toReceive += by;
    this.#send(windowUpdate(stream?.id ?? 0, by));
  }

  /** Sends a frame; new settings count from the server's answer on. */
  #send(bytes: Buffer, onAck?: () => void): void {
    // What waits in the socket was written under what held before.
    if (onAck !== undefined) {
      this.#peer.room = Number.POSITIVE_INFINITY;
      this.#peer.connection.drained();
      this.#check();
    }
    this.#peer.send(bytes);
    this.#check(onAck);
  }

  #check(onAck?: () => void): void {
    for (const each of this.#peer.take()) {
      if (each.type === "SETTINGS" && (each.flags & ACK) !== 0) onAck?.();
      else this.#checkFrame(each);
    }
    if (this.#peer.ended) throw new Error(`the connection was ended: ${this.#peer.log.join()}`);
  }

  #checkFrame(each: Frame): void {
    const { type, flags, id, payload } = each;
    const stream = this.#streams[(id - 1) / 2];
    if (type === "WINDOW_UPDATE") {
      const by = payload.readUInt32BE();
      if (id === 0) this.#toSend += by;
      else stream!.toSend += by;
      return;
    }
    if (stream === undefined) throw new Error(`${type} for stream ${id}`);
    // Of more large messages at once than there is memory for, some are refused.
    if (type === "HEADERS" && this.#peer.headersOf(each)["grpc-status"] === "8") stream.isReset = true;
    if (type === "DATA") this.#toReceive -= payload.length;
    if (stream.isReset) return;
    if (stream.isOver) throw new Error(`${type} behind the end of stream ${id}`);
    if (type === "RST_STREAM") throw new Error(`stream ${id} was reset: ${payload.readUInt32BE()}`);
    if (type === "DATA") {
      stream.toReceive -= payload.length;
      stream.received.push(payload);
      if (payload.length > this.#maxFrame) throw new Error(`a frame of ${payload.length} bytes`);
      const isOver = stream.toReceive < 0 || this.#toReceive < 0;
      if (isOver && payload.length > 0) throw new Error(`windows: ${stream.toReceive}, ${this.#toReceive}`);
    }
    stream.isOver = (flags & END_STREAM) !== 0;
  }

  /** Sends all that is left, gives all windows, and looks whether everything came back. */
  #finish(): void {
    this.#peer.room = Number.POSITIVE_INFINITY;
    this.#peer.connection.drained();
    this.#check();
    this.#widen(undefined, 1_000_000_000);
    const open = this.#streams.filter(({ isReset, isOver }) => !isReset && !isOver);
    for (const stream of open) this.#widen(stream, 100_000_000);
    const isBusy = ({ hasEnded, isReset }: Known) => !hasEnded && !isReset;
    for (let round = 0; round < 10_000 && open.some(isBusy); round++) {
      for (const stream of open.filter(isBusy)) {
        this.#sendSome(stream, 16_384);
        if (stream.sent < stream.bytes.length || stream.hasEnded) continue;
        stream.hasEnded = true;
        this.#send(frame("DATA", { id: stream.id, flags: END_STREAM }));
      }
    }
    for (const { id, bytes, received, isOver } of open.filter(({ isReset }) => !isReset)) {
      if (!isOver) throw new Error(`stream ${id} did not end`);
      if (!Buffer.concat(received).equals(bytes)) throw new Error(`stream ${id} came back otherwise`);
    }
    if (this.#memory.used !== 0) throw new Error(`${this.#memory.used} bytes are still held`);
    if (this.#peer.connection.sender.unread !== 0) throw new Error("answers are still held");
  }
}
