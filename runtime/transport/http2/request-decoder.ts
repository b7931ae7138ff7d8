import { type HeaderList, HpackDecoder } from "./hpack/decoder.ts";
import { RequestHead, type Services } from "./request-head.ts";

/** Blocks up to here are remembered. */
const REMEMBERED_BYTES = 256;

/**
 * Reads the header blocks of a connection. Envoy opens every stream with the same headers, which take a few bytes
 * from the second time on: a block that is the one before, read through tables that have not changed, is not read.
 */
export class RequestDecoder {
  readonly #hpack = new HpackDecoder();
  readonly #services: Services;
  readonly #lastBlock = Buffer.alloc(REMEMBERED_BYTES);
  #lastLength = -1;
  #lastVersion = -1;
  #lastHead: RequestHead | undefined;

  constructor(services: Services) {
    this.#services = services;
  }

  /** @throws {ConnectionError} If the block cannot be read. */
  head(bytes: Buffer, start: number, end: number): RequestHead {
    if (this.#isLast(bytes, start, end)) return this.#lastHead!;
    const { table } = this.#hpack;
    const before = table.version;
    const head = new RequestHead(this.#hpack.decode(bytes, start, end), this.#services);
    const length = end - start;
    // One that changed the table itself is behind its version already.
    if (length <= REMEMBERED_BYTES) {
      bytes.copy(this.#lastBlock, 0, start, end);
      this.#lastLength = length;
      this.#lastVersion = before;
      this.#lastHead = head;
    }
    return head;
  }

  /** @throws {ConnectionError} If the block cannot be read. */
  trailers(bytes: Buffer, start: number, end: number): HeaderList {
    return this.#hpack.decode(bytes, start, end);
  }

  #isLast(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length !== this.#lastLength || this.#hpack.table.version !== this.#lastVersion) return false;
    for (let at = 0; at < length; at++) if (bytes[start + at] !== this.#lastBlock[at]) return false;
    return true;
  }
}
