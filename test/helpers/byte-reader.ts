import type { Socket } from "node:net";

/** Reads a socket piece by piece. One reader a socket, one read at a time. */
export class ByteReader {
  /** What came and is not yet joined to the buffer: joined at once, large bodies would be copied again and again. */
  #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #joined: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    socket.on("data", (chunk: Buffer) => {
      this.#arrived.push(chunk);
      this.#arrivedBytes += chunk.length;
      this.#notify();
    });
    const end = () => {
      this.#ended = true;
      this.#notify();
    };
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", end);
  }

  /** The bytes up to and with the mark; undefined if the stream ends without any byte before it. */
  async readUntil(mark: string): Promise<Buffer | undefined> {
    for (;;) {
      const at = this.#buffer.indexOf(mark);
      if (at >= 0) return this.#take(at + mark.length);
      if (this.#ended) {
        if (this.#buffer.length === 0) return undefined;
        throw new Error(`Cannot read up to ${JSON.stringify(mark)}: the stream ended after ${this.#buffer}`);
      }
      await this.#more();
    }
  }

  async readExactly(count: number): Promise<Buffer> {
    while (this.#joined.length + this.#arrivedBytes < count) {
      if (this.#ended) throw new Error(`Cannot read ${count} bytes: the stream ended`);
      await this.#more();
    }
    return this.#take(count);
  }

  async readToEnd(): Promise<Buffer> {
    while (!this.#ended) await this.#more();
    return this.#take(this.#buffer.length);
  }

  /** Whatever comes next; undefined at the end. */
  async readSome(): Promise<Buffer | undefined> {
    while (this.#buffer.length === 0) {
      if (this.#ended) return undefined;
      await this.#more();
    }
    return this.#take(this.#buffer.length);
  }

  #take(count: number): Buffer {
    const buffer = this.#buffer;
    const taken = buffer.subarray(0, count);
    this.#joined = buffer.subarray(count);
    return taken;
  }

  get #buffer(): Buffer {
    if (this.#arrived.length > 0) {
      this.#joined =
        this.#joined.length === 0 && this.#arrived.length === 1
          ? this.#arrived[0]!
          : Buffer.concat([this.#joined, ...this.#arrived]);
      this.#arrived = [];
      this.#arrivedBytes = 0;
    }
    return this.#joined;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
