import type { ByteReader } from "./byte-reader.ts";

/** Header lines in order. A value is latin1: each character is one byte as it went over the wire. */
export type HeaderLines = readonly (readonly [name: string, value: string])[];

export interface Head {
  /** The request line or the status line. */
  readonly start: string;
  readonly headers: HeaderLines;
}

/** Reads the head of a message; undefined when the peer closed instead. */
export async function readHead(reader: ByteReader): Promise<Head | undefined> {
  const bytes = await reader.readUntil("\r\n\r\n");
  if (bytes === undefined) return undefined;
  const [start = "", ...lines] = bytes.toString("latin1").slice(0, -4).split("\r\n");
  return { start, headers: lines.map(parseLine) };
}

/** Reads the body that the headers announce, and the trailers of a chunked one. */
export async function readBody(
  reader: ByteReader,
  headers: HeaderLines,
  { untilEnd = false }: { untilEnd?: boolean } = {},
): Promise<{ body: Buffer; trailers: HeaderLines }> {
  if (headerOf(headers, "transfer-encoding") === "chunked") return readChunks(reader);
  const length = headerOf(headers, "content-length");
  if (length !== undefined) return { body: await reader.readExactly(Number(length)), trailers: [] };
  return { body: untilEnd ? await reader.readToEnd() : Buffer.alloc(0), trailers: [] };
}

/** The first value of a header; the name in lower case. */
export function headerOf(headers: HeaderLines, name: string): string | undefined {
  return headers.find(([key]) => key.toLowerCase() === name)?.[1];
}

/** Every value of a header, in order; the name in lower case. */
export function headersOf(headers: HeaderLines, name: string): string[] {
  return headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

/** A message as bytes. */
export function encodeMessage(start: string, headers: HeaderLines, body: string | Uint8Array = ""): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat([Buffer.from(`${start}\r\n${lines}\r\n`, "latin1"), Buffer.from(body)]);
}

/** A body in chunks, by default in one, with trailers behind it. Unfinished, it has neither end nor trailers. */
export function encodeChunked(
  body: Uint8Array,
  trailers: HeaderLines,
  { chunkBytes, unfinished = false }: { chunkBytes?: number | undefined; unfinished?: boolean } = {},
): Buffer {
  const step = Math.max(chunkBytes ?? body.length, 1);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += step) {
    const chunk = body.subarray(at, at + step);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
  }
  const lines = trailers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat(unfinished ? parts : [...parts, Buffer.from(`0\r\n${lines}\r\n`, "latin1")]);
}

async function readChunks(reader: ByteReader): Promise<{ body: Buffer; trailers: HeaderLines }> {
  const chunks: Buffer[] = [];
  for (;;) {
    const size = Number.parseInt((await readLine(reader)).split(";")[0] ?? "", 16);
    if (Number.isNaN(size)) throw new Error("Cannot read a chunk: its size is not a number");
    if (size === 0) break;
    chunks.push(await reader.readExactly(size));
    await readLine(reader);
  }
  const trailers: (readonly [string, string])[] = [];
  for (let line = await readLine(reader); line !== ""; line = await readLine(reader)) {
    trailers.push(parseLine(line));
  }
  return { body: Buffer.concat(chunks), trailers };
}

async function readLine(reader: ByteReader): Promise<string> {
  const bytes = await reader.readUntil("\r\n");
  if (bytes === undefined) throw new Error("Cannot read a line: the stream ended");
  return bytes.toString("latin1").slice(0, -2);
}

function parseLine(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
}
