import type { PolicyInstance } from "../policy/instance.ts";
import type { RegisteredPolicy } from "../policy/registry.ts";

/** Waits for instances that are closing, so that the engine does not end in the middle of it. */
export class ClosingInstances {
  readonly #closing = new Set<Promise<void>>();

  close(instance: PolicyInstance): void {
    const done = instance.close().finally(() => this.#closing.delete(done));
    this.#closing.add(done);
  }

  /** Resolves when every close that has begun is over. */
  async settled(): Promise<void> {
    while (this.#closing.size > 0) await Promise.allSettled(this.#closing);
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
