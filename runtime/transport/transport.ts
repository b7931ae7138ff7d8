// The door between the engine and whatever carries its messages: bytes of one message in, bytes of one answer
// out. Nothing behind it knows of gRPC, nothing in front of it knows what the bytes mean.

/** What the peer sent with the opening of a stream, by lower-case name. */
export interface StreamMetadata {
  get(name: string): string | undefined;
}

/** The sending side of a stream. Calls after `end`, `fail` or the peer's cancellation do nothing. */
export interface OutgoingStream {
  /**
   * Sends one message: the bytes from `start` to `end`, by default all.
   * @returns Whether they wait for the peer, and must stay as they are; else they may be written over.
   */
  send(message: Uint8Array, start?: number, end?: number): boolean;
  /** Ends the stream well. */
  end(): void;
  /** Ends the stream with an error; the text is for the peer. `status` is one of gRPC's, by default INTERNAL (13). */
  fail(message: string, status?: number): void;
}

/** The receiving side of a stream, called in order. */
export interface IncomingStream {
  /** One whole message: the bytes from `start` to `end`, by default all. They stay as they are. */
  message(bytes: Uint8Array, start?: number, end?: number): void;
  /** The peer sends no more, but still listens. */
  halfClose(): void;
  /** The peer is gone. Called once, for streams that ended well too. */
  cancel(): void;
}

/** Called for each stream that a peer opens. */
export type StreamAcceptor = (metadata: StreamMetadata, out: OutgoingStream) => IncomingStream;

/** A server of streams. */
export interface Transport {
  /**
   * Begins to listen.
   * @returns The address, with the real port where 0 was asked for.
   * @throws {Error} If it cannot: one message that names the address and the cause.
   */
  listen(): Promise<string>;
  /**
   * Reads again what TLS needs, where there is TLS. Never rejects: what is wrong is logged, and the last good
   * certificates stay. Connections keep theirs.
   */
  reloadCertificates?(): Promise<void>;
  /** Takes no more streams, lets those in flight finish for so long, then ends them. */
  stop(graceMs: number): Promise<void>;
}
