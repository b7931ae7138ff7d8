// What the server says in headers, encoded once.
import { FLAG, FRAME, FRAME_HEAD_BYTES } from "./frames.ts";
import { encodeHeaders } from "./hpack/encode.ts";
import { Output } from "./output.ts";

/** Status codes of gRPC that the transport itself gives. */
export const STATUS = {
  OK: 0,
  DEADLINE_EXCEEDED: 4,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
} as const;

/** Text beside a status, in characters; what is longer is cut. */
const STATUS_TEXT_CHARACTERS = 1_000;
const FLAGS_AT = 4;
/** A change of the table's size, to 0. */
const NO_TABLE = Buffer.from([0x20]);
const GRPC_HEAD = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;

/** Whole frames for stream 0: whoever sends one writes the stream's id over it. */
export const RESPONSE_HEAD = frameOf(FLAG.END_HEADERS, encodeHeaders(GRPC_HEAD));
export const OK_TRAILERS = trailersFrame(STATUS.OK, "");
export const UNSUPPORTED_MEDIA_TYPE = plainAnswer(415, "Only gRPC is served here\n");
export const HEADERS_TOO_LARGE = plainAnswer(431, "The request headers are too large\n");
export const UNKNOWN_METHOD = onlyTrailersFrame(STATUS.UNIMPLEMENTED, "The method is not served here");

/** An answer that is no gRPC. */
export interface PlainAnswer {
  readonly head: Buffer;
  readonly body: Buffer;
}

/** The frame that ends a stream behind a response head. */
export function trailersFrame(status: number, text: string): Buffer {
  return frameOf(FLAG.END_HEADERS | FLAG.END_STREAM, encodeHeaders(statusHeaders(status, text)));
}

/** The frame that ends a stream on which nothing was sent. */
export function onlyTrailersFrame(status: number, text: string): Buffer {
  const headers = [...GRPC_HEAD, ...statusHeaders(status, text)];
  return frameOf(FLAG.END_HEADERS | FLAG.END_STREAM, encodeHeaders(headers));
}

/** The same headers behind the word that they, and all later ones, use no table (RFC 7541 section 6.3). */
export function withoutTable(frame: Buffer): Buffer {
  return frameOf(frame[FLAGS_AT]!, Buffer.concat([NO_TABLE, frame.subarray(FRAME_HEAD_BYTES)]));
}

function statusHeaders(status: number, text: string): [string, string][] {
  const headers: [string, string][] = [["grpc-status", String(status)]];
  if (text !== "") headers.push(["grpc-message", percentEncode(text.slice(0, STATUS_TEXT_CHARACTERS))]);
  if (status === STATUS.UNIMPLEMENTED) headers.push(["grpc-accept-encoding", "identity"]);
  return headers;
}

/** Blanks too, though gRPC allows them: HTTP/2 does not at the ends of a value. */
function percentEncode(text: string): string {
  return Buffer.from(text)
    .toString("latin1")
    .replace(/[^!-$&-~]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

function plainAnswer(status: number, text: string): PlainAnswer {
  const body = Buffer.from(text);
  const block = encodeHeaders([
    [":status", String(status)],
    ["content-type", "text/plain; charset=utf-8"],
    ["content-length", String(body.length)],
  ]);
  return { head: frameOf(FLAG.END_HEADERS, block), body };
}

function frameOf(flags: number, block: Buffer): Buffer {
  const output = new Output();
  const at = output.frame(block.length, FRAME.HEADERS, flags, 0);
  block.copy(output.bytes, at);
  return Buffer.from(output.bytes.subarray(0, at + block.length));
}
