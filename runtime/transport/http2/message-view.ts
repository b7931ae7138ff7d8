/** A message lies where it came unless that keeps so many times its own size alive, of more than that. */
const KEPT_RATIO = 8;
const KEPT_BYTES = 16_384;

/** A message in what came, to be kept for as long as the receiver likes. */
export function messageView(bytes: Buffer, at: number, length: number): Uint8Array {
  if (bytes.length > KEPT_BYTES && bytes.length > KEPT_RATIO * length) {
    const copy = new Uint8Array(length);
    bytes.copy(copy, 0, at, at + length);
    return copy;
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}
