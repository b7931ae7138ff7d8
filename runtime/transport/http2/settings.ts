// SETTINGS (RFC 9113 section 6.5).
import { CODE, ConnectionError, LARGEST_WINDOW, readUint32, SETTING, writeUint32 } from "./frames.ts";
import { HEADER_TABLE_BYTES, MAX_FRAME_BYTES, MAX_HEADER_LIST_BYTES } from "./limits.ts";

const SETTING_BYTES = 6;
const LARGEST_FRAME = 0xffffff;

/** What a client's SETTINGS change here; the rest is of no use to a server that does not push. */
export interface PeerSettings {
  initialWindow?: number;
  maxFrame?: number;
  /** The smallest that it was, where it changed more than once. */
  headerTable?: number;
}

/** @throws {ConnectionError} If a setting has a value that it may not have. */
export function readSettings(bytes: Uint8Array, start: number, end: number): PeerSettings {
  if ((end - start) % SETTING_BYTES !== 0) {
    throw new ConnectionError(CODE.FRAME_SIZE_ERROR, "SETTINGS has a part of a setting");
  }
  const settings: PeerSettings = {};
  for (let at = start; at < end; at += SETTING_BYTES) {
    const id = (bytes[at]! << 8) | bytes[at + 1]!;
    const value = readUint32(bytes, at + 2);
    if (id === SETTING.INITIAL_WINDOW_SIZE) {
      if (value > LARGEST_WINDOW)
        throw new ConnectionError(CODE.FLOW_CONTROL_ERROR, "the window is too large");
      settings.initialWindow = value;
    } else if (id === SETTING.MAX_FRAME_SIZE) {
      if (value < MAX_FRAME_BYTES || value > LARGEST_FRAME) {
        throw new ConnectionError(CODE.PROTOCOL_ERROR, "the frame size is out of bounds");
      }
      settings.maxFrame = value;
    } else if (id === SETTING.HEADER_TABLE_SIZE) {
      settings.headerTable = Math.min(value, settings.headerTable ?? value);
    } else if (id === SETTING.ENABLE_PUSH && value > 1) {
      throw new ConnectionError(CODE.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1");
    }
  }
  return settings;
}

/** The payload of this server's own. */
export function ownSettings(options: { maxStreams: number; streamWindow: number }): Buffer {
  const settings = [
    [SETTING.HEADER_TABLE_SIZE, HEADER_TABLE_BYTES],
    [SETTING.MAX_CONCURRENT_STREAMS, options.maxStreams],
    [SETTING.INITIAL_WINDOW_SIZE, options.streamWindow],
    [SETTING.MAX_FRAME_SIZE, MAX_FRAME_BYTES],
    [SETTING.MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_BYTES],
  ] as const;
  const bytes = Buffer.alloc(settings.length * SETTING_BYTES);
  for (const [index, [id, value]] of settings.entries()) {
    bytes[index * SETTING_BYTES + 1] = id;
    writeUint32(bytes, index * SETTING_BYTES + 2, value);
  }
  return bytes;
}
