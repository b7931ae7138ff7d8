/** Longest work at one go. Envoy's calls wait meanwhile, and their time is short. */
const MAX_MILLISECONDS = 5;

/** Lets long work on a configuration pause, so that exchanges go on while it is done. */
export class Breather {
  #since = performance.now();
  /** The pause at present: those that work side by side share it, or each would take its time anew. */
  #pausing: Promise<void> | undefined;

  /** Await it between two pieces of work: it lets others run when it is their turn. */
  async pause(): Promise<void> {
    if (performance.now() - this.#since < MAX_MILLISECONDS) return;
    this.#pausing ??= this.#turn();
    await this.#pausing;
  }

  async #turn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#since = performance.now();
    this.#pausing = undefined;
  }
}
