// HTTP/2 frames as bytes, and back, for tests that send what no library would. Numbers are RFC 9113's.
import { encodeHeaders } from "../../runtime/transport/http2/hpack/encode.ts";

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const TYPES = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION",
] as const;
export type FrameType = (typeof TYPES)[number];
export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;

export interface Frame {
  readonly type: FrameType | number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

export type HeaderLines = readonly (readonly [name: string, value: string])[];

/** Headers of a call that a gRPC client opens. */
export const CALL: HeaderLines = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/test.Echo/Process"],
  [":authority", "test"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

export function frame(
  type: FrameType | number,
  { flags = 0, id = 0 }: { flags?: number; id?: number } = {},
  payload: Uint8Array = new Uint8Array(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = typeof type === "number" ? type : TYPES.indexOf(type);
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

export function headers(id: number, lines: HeaderLines = CALL, flags = END_HEADERS): Buffer {
  return frame("HEADERS", { id, flags }, encodeHeaders(lines));
}

/** DATA with one gRPC message. */
export function message(id: number, text: string | Uint8Array, flags = 0): Buffer {
  return frame("DATA", { id, flags }, grpcMessage(text));
}

export function grpcMessage(text: string | Uint8Array): Buffer {
  const body = Buffer.from(text as string);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const entries = Object.entries(values).map(([id, value]) => {
    const bytes = Buffer.alloc(6);
    bytes.writeUInt16BE(Number(id));
    bytes.writeUInt32BE(value, 2);
    return bytes;
  });
  return frame("SETTINGS", {}, Buffer.concat(entries));
}

export function windowUpdate(id: number, by: number): Buffer {
  return frame("WINDOW_UPDATE", { id }, uint32(by));
}

export function reset(id: number, code = 8): Buffer {
  return frame("RST_STREAM", { id }, uint32(code));
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Whole frames at the start of some bytes, and what is left. */
export function parseFrames(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= 9) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    const type = bytes[at + 3]!;
    const id = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    frames.push({
      type: TYPES[type] ?? type,
      flags: bytes[at + 4]!,
      id,
      payload: bytes.subarray(at + 9, end),
    });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}
