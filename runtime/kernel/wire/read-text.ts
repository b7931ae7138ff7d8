import { textWithin } from "../../chain/header-list.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A string of a message, which has to be UTF-8.
 * @throws {TypeError} If it is not.
 */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  const text = textWithin(bytes, start, end);
  // Several times as fast as the strict decoder, which looks again where this has put the mark of a wrong byte.
  return text.includes("\ufffd") ? strict.decode(bytes.subarray(start, end)) : text;
}
