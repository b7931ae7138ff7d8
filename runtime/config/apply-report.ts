import type { Problem } from "../document/problem.ts";
import type { ReloadResult } from "../observability/engine-metrics.ts";

/** How a set of routes was taken. */
export interface ApplyReport {
  /**
   * `applied` whole; `partial`, with errors in single routes or files; `rejected`, so that nothing changed;
   * `unchanged`, since it says what is applied already.
   */
  readonly result: ReloadResult;
  /** ISO 8601. */
  readonly at: string;
  /** The snapshot that is current now; undefined when there is none yet. */
  readonly snapshot: number | undefined;
  /** Sorted; the first 1,000. */
  readonly problems: readonly Problem[];
  /** How many there are. */
  readonly problemCount: number;
  readonly routes: RouteCounts;
}

/** Routes as they stand, and what of them this change did. */
export interface RouteCounts {
  readonly active: number;
  readonly lastGood: number;
  readonly unavailable: number;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}
