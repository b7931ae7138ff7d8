// Frames for the whole connection (RFC 9113 sections 6.5, 6.7 and 6.8).
import { FLAG, FRAME, writeUint32 } from "./frames.ts";
import type { Output } from "./output.ts";

/** Payloads of a fixed size; that of GOAWAY is the least. */
export const PING_BYTES = 8;
export const GOAWAY_BYTES = 8;

export function writeSettings(output: Output, payload: Buffer): void {
  const at = output.frame(payload.length, FRAME.SETTINGS, 0, 0);
  payload.copy(output.bytes, at);
}

export function writeSettingsAnswer(output: Output): void {
  output.frame(0, FRAME.SETTINGS, FLAG.ACK, 0);
}

/** Asks for an answer that begins with the mark. */
export function writePing(output: Output, mark: number): void {
  const at = output.frame(PING_BYTES, FRAME.PING, 0, 0);
  writeUint32(output.bytes, at, mark);
  writeUint32(output.bytes, at + 4, 0);
}

/** Answers a PING with what it held. */
export function writePingAnswer(output: Output, bytes: Buffer, start: number): void {
  const at = output.frame(PING_BYTES, FRAME.PING, FLAG.ACK, 0);
  bytes.copy(output.bytes, at, start, start + PING_BYTES);
}

export function writeGoAway(output: Output, what: { lastId: number; code: number; text: string }): void {
  const debug = Buffer.from(what.text);
  const at = output.frame(GOAWAY_BYTES + debug.length, FRAME.GOAWAY, 0, 0);
  writeUint32(output.bytes, at, what.lastId);
  writeUint32(output.bytes, at + 4, what.code);
  debug.copy(output.bytes, at + GOAWAY_BYTES);
}
