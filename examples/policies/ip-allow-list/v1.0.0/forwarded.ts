import { parsePart, type Words } from "./address.ts";

const [SPACE, TAB, DOT, COLON, OPEN, CLOSE] = [0x20, 0x09, 0x2e, 0x3a, 0x5b, 0x5d];

/** Goes through the entries of x-forwarded-for from the right: what a client wrote itself is always on the left. */
export class ForwardedFor {
  readonly #lines: readonly string[];
  #line: number;
  /** Where the entries that are left in the line end; -1 where none is. */
  #end: number;
  #from = 0;
  #to = 0;

  constructor(lines: readonly string[]) {
    this.#lines = lines;
    this.#line = lines.length - 1;
    this.#end = lines.at(-1)?.length ?? -1;
  }

  /** Steps to the next entry; empty ones are none (RFC 9110 section 5.6.1). */
  next(): boolean {
    while (this.#line >= 0) {
      if (this.#end < 0) {
        this.#line--;
        this.#end = this.#lines[this.#line]?.length ?? -1;
        continue;
      }
      const text = this.#lines[this.#line]!;
      const comma = this.#end === 0 ? -1 : text.lastIndexOf(",", this.#end - 1);
      this.#from = comma + 1;
      this.#to = this.#end;
      this.#end = comma;
      while (this.#from < this.#to && isBlank(text.charCodeAt(this.#from))) this.#from++;
      while (this.#to > this.#from && isBlank(text.charCodeAt(this.#to - 1))) this.#to--;
      if (this.#to > this.#from) return true;
    }
    return false;
  }

  /** Reads the entry: an address, which may have brackets (IPv6) and a port. */
  address(into: Words): boolean {
    const text = this.#lines[this.#line]!;
    let from = this.#from;
    let to = portAt(text, from, this.#to);
    if (text.charCodeAt(from) === OPEN) {
      if (text.charCodeAt(to - 1) !== CLOSE) return false;
      from++;
      to--;
      // Brackets are for IPv6.
      const colon = text.indexOf(":", from);
      if (colon === -1 || colon >= to) return false;
    }
    return parsePart(text, { from, to, into });
  }
}

/** Where the address ends: in front of `:4711` behind brackets or behind an IPv4 address. */
function portAt(text: string, from: number, to: number): number {
  let at = to;
  while (at > from && text.charCodeAt(at - 1) >= 0x30 && text.charCodeAt(at - 1) <= 0x39) at--;
  if (at === to || at === from || text.charCodeAt(at - 1) !== COLON) return to;
  const before = at - 1;
  if (text.charCodeAt(before - 1) === CLOSE) return before;
  let dots = 0;
  for (let place = from; place < before; place++) {
    const code = text.charCodeAt(place);
    if (code === COLON) return to;
    if (code === DOT) dots++;
  }
  return dots > 0 ? before : to;
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}
