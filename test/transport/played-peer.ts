// A connection of the HTTP/2 server with a peer that is played: no sockets, and time that the test tells.
import { createLogger } from "../../runtime/observability/log.ts";
import { AssemblyMemory } from "../../runtime/transport/http2/assembly.ts";
import { type ConnectionSocket, Http2Connection } from "../../runtime/transport/http2/connection.ts";
import { HpackDecoder } from "../../runtime/transport/http2/hpack/decoder.ts";
import { DEFAULT_HTTP2_LIMITS, type Http2Limits } from "../../runtime/transport/http2/limits.ts";
import type { OutgoingStream, StreamAcceptor, StreamMetadata } from "../../runtime/transport/transport.ts";
import { type Frame, PREFACE, parseFrames, settings } from "./frames.ts";

export const SERVICE = "/test.Echo/Process";
export const MAX_MESSAGE = 1_000_000;

/** What the server side of a stream was told. */
export interface PlayedStream {
  readonly metadata: StreamMetadata;
  readonly out: OutgoingStream;
  readonly events: string[];
  readonly messages: Uint8Array[];
}

export interface PlayedOptions {
  readonly limits?: Partial<Http2Limits>;
  readonly memory?: AssemblyMemory;
  /** What a stream does with a message. Default: sends it back. */
  readonly onMessage?: (stream: PlayedStream, message: Uint8Array) => void;
  readonly maxMessageBytes?: number;
  /** Default: everything is logged. */
  readonly logLevel?: "debug" | "error";
}

/** See the head of the file. */
export class PlayedPeer implements ConnectionSocket {
  readonly connection: Http2Connection;
  readonly streams: PlayedStream[] = [];
  readonly log: string[] = [];
  /** Bytes that the socket still takes. */
  room = Number.POSITIVE_INFINITY;
  ended = false;
  terminated = false;
  paused = false;
  now = 0;
  #written: Buffer[] = [];
  #rest = Buffer.alloc(0);
  readonly #hpack = new HpackDecoder();

  constructor(options: PlayedOptions = {}) {
    const { onMessage = ({ out }, message) => out.send(message) } = options;
    const limits = { ...DEFAULT_HTTP2_LIMITS, ...options.limits };
    const accept: StreamAcceptor = (metadata, out) => {
      const stream: PlayedStream = { metadata, out, events: [], messages: [] };
      this.streams.push(stream);
      return {
        message: (came, start, end) => {
          const bytes = came.subarray(start, end);
          stream.messages.push(bytes);
          stream.events.push("message");
          onMessage(stream, bytes);
        },
        halfClose: () => {
          stream.events.push("half-close");
          out.end();
        },
        cancel: () => void stream.events.push("cancel"),
      };
    };
    this.connection = new Http2Connection(
      {
        services: new Map([[SERVICE, accept]]),
        maxMessageBytes: options.maxMessageBytes ?? MAX_MESSAGE,
        limits,
        memory: options.memory ?? new AssemblyMemory(limits.assemblyBytes),
        log: createLogger({
          level: options.logLevel ?? "debug",
          format: "text",
          write: (line) => void this.log.push(line),
        }),
      },
      this,
      0,
    );
  }

  /** Says hello, and forgets the answer. */
  greet(values: Readonly<Record<number, number>> = {}): this {
    this.send(PREFACE, settings(values));
    this.take();
    return this;
  }

  /** Sends bytes in one chunk. */
  send(...bytes: readonly Buffer[]): this {
    this.connection.receive(Buffer.concat(bytes));
    return this;
  }

  /** What was written since the last time. */
  take(): Frame[] {
    const { frames, rest } = parseFrames(Buffer.concat([this.#rest, ...this.#written]));
    this.#written = [];
    this.#rest = rest as Buffer<ArrayBuffer>;
    return frames;
  }

  /** The headers of a frame of the server. */
  headersOf({ payload }: Frame): Record<string, string> {
    const { entries } = this.#hpack.decode(payload, 0, payload.length);
    return Object.fromEntries(entries.map(({ name, value }) => [name, value]));
  }

  /** Lets time pass, a tick a second as the server does. */
  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += 1_000;
      this.connection.tick(this.now);
    }
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.ended || this.terminated) return -1;
    const taken = Math.min(length, this.room);
    this.room -= taken;
    this.#written.push(Buffer.from(bytes.subarray(offset, offset + taken)));
    return taken;
  }

  end(): void {
    this.ended = true;
  }

  terminate(): void {
    this.terminated = true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}

/** A frame in words: `RST_STREAM 1 8`, `GOAWAY 3 11`, `DATA 1 +end 12`. */
export function told({ type, flags, id, payload }: Frame): string {
  switch (type) {
    case "RST_STREAM":
      return `RST_STREAM ${id} ${payload.readUInt32BE()}`;
    case "GOAWAY":
      return `GOAWAY ${payload.readUInt32BE()} ${payload.readUInt32BE(4)}`;
    case "WINDOW_UPDATE":
      return `WINDOW_UPDATE ${id} ${payload.readUInt32BE()}`;
    case "DATA":
    case "HEADERS":
      return `${type} ${id}${(flags & 1) === 1 ? " +end" : ""}${type === "DATA" ? ` ${payload.length}` : ""}`;
    default:
      return `${type}${(flags & 1) === 1 ? " +ack" : ""}`;
  }
}
