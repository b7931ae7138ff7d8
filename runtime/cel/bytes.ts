// Functions on bytes.
import { Fault } from "./fault.ts";
import type { Meter } from "./meter.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BASE64 = /^[A-Za-z0-9+/]*(={0,2})$/;

export function toBytes(value: unknown): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  return asBytes(value);
}

/** @throws {Fault} If they are not UTF-8. */
export function toUtf8(value: unknown): string {
  const bytes = asBytes(value);
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new Fault("invalid_utf8");
  }
}

export function json(value: unknown, meter: Meter): unknown {
  const text = toUtf8(value);
  meter.step(text.length);
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault("invalid_json");
  }
}

export function hex(value: unknown, meter: Meter): string {
  return encoded(value, "hex", meter);
}

export function base64Encode(value: unknown, meter: Meter): string {
  return encoded(value, "base64", meter);
}

/** With or without padding. */
export function base64Decode(value: unknown): Uint8Array {
  if (typeof value !== "string") throw new Fault("no_such_overload");
  const padding = BASE64.exec(value)?.[1]?.length;
  const length = value.length - (padding ?? 0);
  if (padding === undefined || length % 4 === 1 || (padding > 0 && value.length % 4 !== 0)) {
    throw new Fault("invalid_base64");
  }
  return Buffer.from(value, "base64");
}

export function bytesAt(value: unknown, index: unknown): bigint {
  const bytes = asBytes(value);
  if (typeof index !== "bigint") throw new Fault("no_such_overload");
  if (index < 0n || index >= bytes.length) throw new Fault("index_out_of_bounds");
  return BigInt(bytes[Number(index)]!);
}

function encoded(value: unknown, coding: "hex" | "base64", meter: Meter): string {
  const bytes = asBytes(value);
  meter.make(coding === "hex" ? bytes.length * 2 : Math.ceil(bytes.length / 3) * 4);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(coding);
}

function asBytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new Fault("no_such_overload");
  return value;
}
