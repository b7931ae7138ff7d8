const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8Slice = Buffer.prototype.utf8Slice as (this: Uint8Array, start: number, end: number) => string;

/**
 * A string of a message, which has to be UTF-8.
 * @throws {TypeError} If it is not.
 */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  const text = utf8Slice.call(bytes, start, end);
  // Several times as fast as the strict decoder, which looks again where this has put the mark of a wrong byte.
  return text.includes("\ufffd") ? strict.decode(bytes.subarray(start, end)) : text;
}

/**
 * A string in which a client may have a say: attributes repeat bytes of its headers, which Envoy passes on whatever
 * they are. Like the text of a header it reads with a mark in the place of what is not UTF-8, so that nobody can
 * make a policy fail.
 */
export function readLooseText(bytes: Uint8Array, start: number, end: number): string {
  return utf8Slice.call(bytes, start, end);
}
