import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from "node:zlib";

/** A sender has reason for one coding, a gateway behind it for a second: more only multiply the work. */
const MAX_CODINGS = 3;

/**
 * Decoded bytes for a byte of the coded body. Messages seldom reach a tenth of it, deflate ends near 1032, and
 * brotli and zstd make gigabytes of a kilobyte.
 */
export const DEFAULT_MAX_RATIO = 100;

/** What any body may decode to: short repetitive ones are dense and harmless. */
const ALWAYS_ALLOWED_BYTES = 64 * 1024;

/** By how much a body still coded may outgrow the decoded one: deflate adds 5 bytes to each block it cannot pack. */
const CODING_OVERHEAD_BYTES = 64 * 1024;

/** The most that zlib's option takes. */
const LARGEST_OUTPUT_BYTES = 2 ** 32;

/** What a decoder must hold, RFC 9659: larger windows are outside of the coding and let a few bytes claim memory. */
const MAX_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024;

const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_SKIPPABLE_MAGIC = 0x184d2a50;
const ZSTD_RLE_BLOCK = 1;

/** A name short and plain enough to stand in a message. */
const PRINTABLE_CODING = /^[a-z0-9._+-]{1,32}$/;

export interface ContentLimits {
  /** Most bytes a decoded body has. */
  readonly maxBytes: number;
  /** Most bytes it has for each byte of the coded body, counted over all codings; 64 KiB are always allowed. */
  readonly maxRatio: number;
}

export type ContentCodingCode =
  /** A coding that is not decoded here. */
  | "unknown_coding"
  /** Not what its coding says: truncated, followed by something else, or with a wrong checksum. */
  | "broken_content"
  /** Decoded, more than `maxBytes`. */
  | "too_large"
  /** Decoded, more than `maxRatio` allows. */
  | "too_dense"
  | "too_many_codings";

/** A body that cannot be decoded. The message quotes nothing of it. */
export class ContentCodingError extends Error {
  override readonly name = "ContentCodingError";
  readonly code: ContentCodingCode;

  constructor(code: ContentCodingCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

interface Decoded {
  readonly bytes: Uint8Array;
  /** How much of the coded bytes the decoder took. */
  readonly consumed: number;
}

type Decoder = (bytes: Uint8Array, maxBytes: number) => Decoded;

const DECODERS: ReadonlyMap<string, Decoder | undefined> = new Map([
  ["identity", undefined],
  ["gzip", gunzip],
  ["x-gzip", gunzip],
  ["deflate", inflate],
  ["br", unbrotli],
  ["zstd", unzstd],
]);

/**
 * Undoes a content-encoding (RFC 9110 section 8.4): the codings of the list, last one first. All of the bytes
 * must belong to the coded content. The limits hold while decoding: what exceeds them is never made.
 *
 * A body without coding is returned as it is, not copied; an empty body is empty under any coding.
 *
 * @throws ContentCodingError
 */
export function decodeContent(
  bytes: Uint8Array,
  coding: string | undefined,
  limits: ContentLimits,
): Uint8Array {
  if (bytes.length === 0) return bytes;
  const decoders = decodersOf(coding ?? "");
  // One ceiling for all codings: bombs inside of bombs are measured by what came over the wire.
  const denseBytes = Math.max(ALWAYS_ALLOWED_BYTES, Math.floor(bytes.length * limits.maxRatio));
  const ceiling = decoders.length === 0 ? limits.maxBytes : Math.min(denseBytes, limits.maxBytes);
  const tooDense = ceiling < limits.maxBytes;
  let content = bytes;
  for (let index = decoders.length - 1; index >= 0; index--) {
    const { name, decode } = decoders[index]!;
    const room = index === 0 ? ceiling : ceiling + CODING_OVERHEAD_BYTES;
    content = decodeOnce(content, name, { decode, room, tooDense });
  }
  if (content.length > ceiling) throw overCeiling(tooDense);
  return content;
}

interface NamedDecoder {
  readonly name: string;
  readonly decode: Decoder;
}

/** The decoders of a list in the order its codings were applied, without those that change nothing. */
function decodersOf(coding: string): NamedDecoder[] {
  const names = coding
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length > MAX_CODINGS) {
    throw new ContentCodingError(
      "too_many_codings",
      `Cannot decode content with ${names.length} codings: at most ${MAX_CODINGS} are decoded`,
    );
  }
  const decoders: NamedDecoder[] = [];
  for (const name of names) {
    const decode = DECODERS.get(name);
    if (decode !== undefined) decoders.push({ name, decode });
    else if (!DECODERS.has(name)) {
      const shown = PRINTABLE_CODING.test(name) ? `"${name}"` : "of an unprintable name";
      throw new ContentCodingError(
        "unknown_coding",
        `Cannot decode content with coding ${shown}: gzip, deflate, br and zstd are decoded`,
      );
    }
  }
  return decoders;
}

function decodeOnce(
  bytes: Uint8Array,
  name: string,
  options: { decode: Decoder; room: number; tooDense: boolean },
): Uint8Array {
  const { decode, room, tooDense } = options;
  let decoded: Decoded;
  try {
    decoded = decode(bytes, Math.min(Math.max(room, 1), LARGEST_OUTPUT_BYTES));
  } catch (cause) {
    if (cause instanceof ContentCodingError) throw cause;
    if (cause instanceof RangeError && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") {
      throw overCeiling(tooDense);
    }
    throw broken(name, "it is truncated or damaged", { cause });
  }
  // Decoders stop at the end of the coded content and say nothing of what follows.
  if (decoded.consumed !== bytes.length) throw broken(name, "other bytes follow it");
  return decoded.bytes;
}

function overCeiling(tooDense: boolean): ContentCodingError {
  return tooDense
    ? new ContentCodingError(
        "too_dense",
        "Cannot decode content: it grows more than the limit of its ratio allows",
      )
    : new ContentCodingError(
        "too_large",
        "Cannot decode content: decoded, it is larger than the limit allows",
      );
}

function broken(name: string, reason: string, options?: ErrorOptions): ContentCodingError {
  return new ContentCodingError(
    "broken_content",
    `Cannot decode content with coding "${name}": ${reason}`,
    options,
  );
}

/** All members of the file (RFC 1952 section 2.2), one after the other. */
function gunzip(bytes: Uint8Array, maxBytes: number): Decoded {
  return read(gunzipSync(bytes, optionsFor(maxBytes)));
}

function unbrotli(bytes: Uint8Array, maxBytes: number): Decoded {
  return read(brotliDecompressSync(bytes, optionsFor(maxBytes)));
}

function unzstd(bytes: Uint8Array, maxBytes: number): Decoded {
  checkZstdFrames(bytes);
  return read(zstdDecompressSync(bytes, optionsFor(maxBytes)));
}

/** Deflate in its zlib format, as RFC 9110 says, or without it, as many send it. */
function inflate(bytes: Uint8Array, maxBytes: number): Decoded {
  if (!hasZlibHeader(bytes)) return read(inflateRawSync(bytes, optionsFor(maxBytes)));
  const decoded = read(inflateSync(bytes, optionsFor(maxBytes)));
  // Nobody may be shown another content than the next reader finds.
  if (isRawToo(bytes, maxBytes)) throw broken("deflate", "with and without the zlib format it differs");
  return decoded;
}

function hasZlibHeader(bytes: Uint8Array): boolean {
  if (bytes.length < 2) return false;
  const method = bytes[0]!;
  return (method & 0x0f) === 8 && method >> 4 <= 7 && ((method << 8) | bytes[1]!) % 31 === 0;
}

/**
 * Whether what has a zlib header can be read without one. Deflate sees a stored block there, of a length with
 * its complement, which content has by chance once in 65,536 times; then it is tried.
 */
function isRawToo(bytes: Uint8Array, maxBytes: number): boolean {
  const hasLength = (bytes[1]! ^ bytes[3]!) === 0xff && (bytes[2]! ^ bytes[4]!) === 0xff;
  if (!hasLength) return false;
  try {
    inflateRawSync(bytes, optionsFor(maxBytes));
    return true;
  } catch (error) {
    // Content beyond the limit is content.
    return error instanceof RangeError;
  }
}

/**
 * Walks the frames and blocks (RFC 8878 section 3.1): the decoder takes a truncated body for a complete one,
 * and allows windows of 128 MiB.
 */
function checkZstdFrames(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  try {
    do at = endOfZstdFrame(view, at);
    while (at < bytes.length);
  } catch (cause) {
    if (cause instanceof RangeError) throw broken("zstd", "it is truncated", { cause });
    throw cause;
  }
  if (at !== bytes.length) throw broken("zstd", "it is truncated");
}

/** Where the next frame begins. Reading beyond the end throws a RangeError. */
function endOfZstdFrame(view: DataView, start: number): number {
  const magic = view.getUint32(start, true);
  // Sixteen magic numbers stand for data that is no content.
  if ((magic & ~0xf) === ZSTD_SKIPPABLE_MAGIC) return start + 8 + view.getUint32(start + 4, true);
  if (magic !== ZSTD_MAGIC) throw broken("zstd", "a frame is needed where something else is");
  const descriptor = view.getUint8(start + 4);
  let at = zstdBlocksAt(view, start + 5);
  for (let last = false; !last; ) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const size = ((header >> 1) & 3) === ZSTD_RLE_BLOCK ? 1 : header >> 3;
    last = (header & 1) === 1;
    at += 3 + size;
  }
  const hasChecksum = (descriptor & 4) !== 0;
  return at + (hasChecksum ? 4 : 0);
}

/** Reads past the rest of a frame header, which begins after its descriptor. */
function zstdBlocksAt(view: DataView, start: number): number {
  const descriptor = view.getUint8(start - 1);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryId = [0, 1, 2, 4][descriptor & 3]!;
  const sizeAt = start + (isSingleSegment ? 0 : 1) + dictionaryId;
  const sizeLength = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const window = isSingleSegment
    ? readZstdSize(view, sizeAt, sizeLength)
    : readZstdWindow(view.getUint8(start));
  if (window > MAX_ZSTD_WINDOW_BYTES) throw broken("zstd", "its window is larger than 8 MiB");
  return sizeAt + sizeLength;
}

function readZstdWindow(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function readZstdSize(view: DataView, at: number, length: number): number {
  if (length === 8) return Number(view.getBigUint64(at, true));
  // What one or two bytes can say is never too large.
  return length === 4 ? view.getUint32(at, true) : 0;
}

/** With `info` the result has its decoder too, which knows how much it took. */
function optionsFor(maxBytes: number): { maxOutputLength: number; info: true } {
  return { maxOutputLength: maxBytes, info: true };
}

function read(result: unknown): Decoded {
  // The type declarations know only the result without `info`.
  const { buffer, engine } = result as { buffer: Uint8Array; engine: { bytesWritten: number } };
  // Policies get no Buffer: its methods are not those of other byte arrays.
  const bytes = new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.byteLength);
  return { bytes, consumed: engine.bytesWritten };
}
