/**
 * A reader of our log that hangs must not stop the engine, nor fill its memory: past this many characters that
 * it has not taken, lines are dropped.
 */
const MAX_WAITING = 8 * 1024 * 1024;

/** What a {@link LineWriter} writes to; `Bun.stdout.writer()` is one. */
export interface LineSink {
  write(text: string): unknown;
  /** A promise while the other end has not taken everything. */
  flush(): unknown;
}

/** Writes lines to an output that may be slow, stuck or gone, without ever throwing or waiting. */
export class LineWriter {
  readonly #sink: LineSink;
  #waiting = 0;
  #dropped = 0;
  #flushing: Promise<void> | undefined;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  /** How many lines were dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes lines, each with its line feed. */
  readonly write = (lines: string): void => {
    if (this.#waiting > MAX_WAITING) {
      this.#dropped++;
      return;
    }
    try {
      this.#sink.write(lines);
      this.#waiting += lines.length;
      if (this.#flushing === undefined) this.#flush();
    } catch {
      // The other end is gone (EPIPE). It may come back where it is a terminal or a file: later lines are tried.
      this.#dropped++;
    }
  };

  /** Resolves when everything is out, or `timeoutMs` later: a program that ends does not wait for a stuck pipe. */
  async drain(timeoutMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, timeoutMs);
    try {
      while (this.#flushing !== undefined) {
        const done = await Promise.race([this.#flushing.then(() => true), late.promise.then(() => false)]);
        if (!done) return;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #flush(): void {
    const size = this.#waiting;
    const flushed = this.#sink.flush();
    if (!(flushed instanceof Promise)) {
      this.#waiting = 0;
      return;
    }
    this.#flushing = this.#settle(flushed, size);
  }

  async #settle(flushed: Promise<unknown>, size: number): Promise<void> {
    try {
      await flushed;
    } catch {
      this.#dropped++;
    }
    this.#waiting -= size;
    this.#flushing = undefined;
    if (this.#waiting <= 0) return;
    try {
      this.#flush();
    } catch {
      this.#waiting = 0;
      this.#dropped++;
    }
  }
}
