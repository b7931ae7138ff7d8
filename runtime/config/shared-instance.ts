import type { PolicyInstance } from "../policy/instance.ts";
import type { RegisteredPolicy } from "../policy/registry.ts";

/** Instances closed at one go. A change of every route closes thousands, and exchanges wait meanwhile. */
const MAX_AT_ONCE = 200;

/** Closes instances, and waits for those that are closing, so that the engine does not end in the middle of it. */
export class ClosingInstances {
  readonly #closing = new Set<Promise<void>>();
  readonly #waiting: PolicyInstance[] = [];
  /** How many more may be closed before others have their turn. */
  #left = MAX_AT_ONCE;

  /** Closes an instance now, or in a later turn of the event loop if many were closed in this one. */
  close(instance: PolicyInstance): void {
    if (this.#left === MAX_AT_ONCE) setImmediate(() => this.#nextTurn());
    if (this.#left > 0) this.#close(instance);
    else this.#waiting.push(instance);
  }

  /** Resolves when all of them are closed. */
  async settled(): Promise<void> {
    while (this.#closing.size > 0 || this.#waiting.length > 0) {
      await Promise.allSettled(this.#closing);
      if (this.#waiting.length > 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #close(instance: PolicyInstance): void {
    this.#left -= 1;
    const done = instance.close().finally(() => this.#closing.delete(done));
    this.#closing.add(done);
  }

  #nextTurn(): void {
    this.#left = MAX_AT_ONCE;
    for (const instance of this.#waiting.splice(0, MAX_AT_ONCE)) this.close(instance);
  }
}

/** What an instance was made from; an equal wish is served by the same instance. */
export interface InstanceOrigin {
  readonly policy: RegisteredPolicy;
  /** Checked parameters, with the values of secrets. */
  readonly params: unknown;
}

/** An instance that several snapshots use. It is closed when the last of them lets go. */
export class SharedInstance {
  readonly instance: PolicyInstance;
  readonly origin: InstanceOrigin;
  readonly #closing: ClosingInstances;
  #references = 0;
  #closed = false;

  constructor(instance: PolicyInstance, context: { origin: InstanceOrigin; closing: ClosingInstances }) {
    this.instance = instance;
    this.origin = context.origin;
    this.#closing = context.closing;
  }

  retain(): void {
    this.#references += 1;
  }

  release(): void {
    this.#references -= 1;
    this.closeUnused();
  }

  /** Closes an instance that no snapshot uses: its route failed, or its snapshot never came to be. */
  closeUnused(): void {
    if (this.#references > 0 || this.#closed) return;
    this.#closed = true;
    this.#closing.close(this.instance);
  }
}
