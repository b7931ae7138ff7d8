import { STATIC_TABLE } from "./table.ts";

/**
 * Writes headers without use of a dynamic table, so that a block can be made once and sent on every connection
 * (RFC 7541 sections 6.1 and 6.2.2). Names are in lower case, texts in Latin-1.
 */
export function encodeHeaders(headers: readonly (readonly [name: string, value: string])[]): Buffer {
  const bytes: number[] = [];
  for (const [name, value] of headers) {
    const whole = STATIC_TABLE.findIndex((entry) => entry.name === name && entry.value === value) + 1;
    if (whole > 0) {
      integer(bytes, whole, { first: 0x80, prefixBits: 7 });
      continue;
    }
    const named = STATIC_TABLE.findIndex((entry) => entry.name === name) + 1;
    integer(bytes, named, { first: 0, prefixBits: 4 });
    if (named === 0) text(bytes, name);
    text(bytes, value);
  }
  return Buffer.from(bytes);
}

function text(bytes: number[], value: string): void {
  const encoded = Buffer.from(value, "latin1");
  integer(bytes, encoded.length, { first: 0, prefixBits: 7 });
  bytes.push(...encoded);
}

function integer(
  bytes: number[],
  value: number,
  { first, prefixBits }: { first: number; prefixBits: number },
): void {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    bytes.push(first | value);
    return;
  }
  bytes.push(first | mask);
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
}
