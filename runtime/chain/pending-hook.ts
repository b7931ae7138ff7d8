/** An asynchronous hook at work. Whoever closes it first decides: its own end, its timer, or the exchange's end. */
export class PendingHook {
  /** Resolves when it is closed. */
  readonly done: Promise<void>;
  readonly #context: { giveUp(reason: unknown): void };
  readonly #resolve: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #open = true;

  constructor(context: { giveUp(reason: unknown): void }) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#context = context;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Calls back, unless it is closed by then. Infinite: never; nothing left: at once. */
  after(milliseconds: number, expire: () => void): void {
    if (milliseconds <= 0) expire();
    else if (milliseconds !== Number.POSITIVE_INFINITY) this.#timer = setTimeout(expire, milliseconds);
  }

  /** False: it was closed before, and whatever it comes to no longer counts. */
  close(): boolean {
    if (!this.#open) return false;
    this.#open = false;
    clearTimeout(this.#timer);
    this.#resolve();
    return true;
  }

  /** Closes it before its own end, and tells the hook by its signal. */
  giveUp(reason: unknown): void {
    if (this.close()) this.#context.giveUp(reason);
  }
}
