// What a peer may ask of this server. Each limit ends one stream or one connection, never the process; a peer
// that keeps within HTTP/2 and gRPC as Envoy speaks them does not meet any of them.

/** Payload of one frame (SETTINGS_MAX_FRAME_SIZE): the least that the protocol allows, and enough for any message. */
export const MAX_FRAME_BYTES = 16_384;
/** Names, values and 32 bytes a header (SETTINGS_MAX_HEADER_LIST_SIZE). More is answered with 431. */
export const MAX_HEADER_LIST_BYTES = 65_536;
/** Headers of one stream. More is answered with 431. */
export const MAX_HEADERS = 256;
/** CONTINUATION frames of one header block; four would carry the largest that is useful. */
export const MAX_CONTINUATIONS = 16;
/** The table that a peer's header compression may fill (SETTINGS_HEADER_TABLE_SIZE): the protocol's default. */
export const HEADER_TABLE_BYTES = 4_096;
/** Streams at once on one connection; one more is refused, and may be tried elsewhere. */
export const MAX_STREAMS = 100_000;
/** Connections at once; one more is closed as it comes. */
export const MAX_CONNECTIONS = 10_000;
/** PING frames of one connection in a second; clients that measure round trips send one each. */
export const MAX_PINGS = 10_000;
/** SETTINGS frames of one connection in a second; each may touch every stream. */
export const MAX_SETTINGS = 100;
/** DATA frames without a byte and without an end, of one connection in a second. */
export const MAX_EMPTY_DATA = 1_000;
/**
 * Frames that say nothing here (PRIORITY, unknown types, frames of streams that are over) in a second. Some follow
 * each stream that ends before its client knows.
 */
export const MAX_IGNORED_FRAMES = 100_000;
/** Memory for messages that have begun to come, of all connections together. Further large ones wait for it. */
export const ASSEMBLY_BYTES = 268_435_456;
/** Answers of one connection that its peer has not taken. The stream whose answer would be more is reset. */
export const MAX_UNREAD_BYTES = 268_435_456;
/** Bytes that the socket of a connection did not take, above which nothing more is read from it. */
export const PAUSE_READING_BYTES = 1_048_576;
/** From the connect to the end of TLS and the client's first SETTINGS. */
export const PREFACE_TIMEOUT_MS = 10_000;
/** How long a connection may be silent before a PING asks whether anyone is there. */
export const SILENCE_MS = 60_000;
/** How long the answer to that PING, or to the close of a connection, may take. */
export const REPLY_TIMEOUT_MS = 10_000;
/** How long a peer may not take any byte of an answer that waits for it, or send none of a message that it began. */
export const STALL_TIMEOUT_MS = 60_000;
/** How long a client may leave its half of a stream open that the server has ended. */
export const LINGER_MS = 10_000;

/** Limits that depend on who the peer is. */
export interface Http2Limits {
  /** Streams that a connection may open in a second. Default: any number, as for a trusted Envoy. */
  readonly streamsPerSecond: number;
  /**
   * Streams that a client may reset in a second on a connection, itself or by breaking a rule of them. Default: any
   * number: Envoy resets every stream.
   */
  readonly resetsPerSecond: number;
  readonly maxConnections: number;
  readonly maxStreams: number;
  readonly assemblyBytes: number;
  readonly unreadBytes: number;
  readonly prefaceTimeoutMs: number;
  readonly silenceMs: number;
  readonly replyTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly lingerMs: number;
}

export const DEFAULT_HTTP2_LIMITS: Http2Limits = {
  streamsPerSecond: Number.POSITIVE_INFINITY,
  resetsPerSecond: Number.POSITIVE_INFINITY,
  maxConnections: MAX_CONNECTIONS,
  maxStreams: MAX_STREAMS,
  assemblyBytes: ASSEMBLY_BYTES,
  unreadBytes: MAX_UNREAD_BYTES,
  prefaceTimeoutMs: PREFACE_TIMEOUT_MS,
  silenceMs: SILENCE_MS,
  replyTimeoutMs: REPLY_TIMEOUT_MS,
  stallTimeoutMs: STALL_TIMEOUT_MS,
  lingerMs: LINGER_MS,
};
