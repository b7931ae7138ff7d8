import type { Chain } from "../chain/chain.ts";
import type { SharedInstance } from "./shared-instance.ts";

/** What a route that is configured has: a chain, or nothing that was ever valid. */
export type RouteState = { readonly kind: "chain"; readonly chain: Chain } | { readonly kind: "unavailable" };

/** What a snapshot is made of. */
export interface SnapshotContent {
  readonly routes: ReadonlyMap<string, RouteState>;
  /** Every instance that the chains use. */
  readonly instances: Iterable<SharedInstance>;
}

/**
 * The routes at one moment. It never changes: a change of the configuration makes another. Whoever works with
 * one retains it first and releases it once when done; an instance that no later snapshot uses is closed when
 * the last one that does is released.
 */
export class Snapshot {
  /** Counts up from 1 in the life of the process. */
  readonly id: number;
  readonly #routes: ReadonlyMap<string, RouteState>;
  readonly #instances: ReadonlySet<SharedInstance>;
  /** The first reference is that of the maker. */
  #references = 1;

  constructor(id: number, { routes, instances }: SnapshotContent) {
    this.id = id;
    this.#routes = routes;
    this.#instances = new Set(instances);
    for (const instance of this.#instances) instance.retain();
  }

  /** The state of a route by its key; undefined when it is not configured. */
  lookup(route: string): RouteState | undefined {
    return this.#routes.get(route);
  }

  /** Every configured route by its key. */
  routes(): Iterable<readonly [route: string, state: RouteState]> {
    return this.#routes;
  }

  /** @throws {RangeError} If everyone has released it: its instances may be closed. */
  retain(): void {
    if (this.#references === 0) {
      throw new RangeError(`Cannot retain snapshot ${this.id}: it is closed, the current one is needed`);
    }
    this.#references += 1;
  }

  /** @throws {RangeError} If it was released more often than it was retained. */
  release(): void {
    if (this.#references === 0) {
      throw new RangeError(
        `Cannot release snapshot ${this.id}: it is closed, one release for each retain is needed`,
      );
    }
    this.#references -= 1;
    if (this.#references > 0) return;
    for (const instance of this.#instances) instance.release();
  }
}
