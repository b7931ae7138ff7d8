// Lines that requests cause can come as often as requests do: of each kind some are written in a second, the others
// are counted, and the count is told. Lines written and counts told add up to what happened.
import type { LogLevel } from "@policy-engine/sdk";

/** Lines of one kind in one second: enough to see what goes on, and an id to search for. */
const MAX_LINES_A_SECOND = 10;
/** Kinds of one second. They are known ahead but for the reasons that policies give: whatever is over is one kind. */
const MAX_KINDS = 500;
const SECOND_MS = 1_000;

/** What makes lines the same. Never what a client sent. */
export interface LineKind {
  readonly level: LogLevel;
  readonly message: string;
  readonly component?: string | undefined;
  /** `name:version`. */
  readonly policy?: string | undefined;
  readonly reason?: string | undefined;
}

interface Count {
  readonly kind: LineKind;
  written: number;
  suppressed: number;
}

/** See the head of the file. */
export class RepeatedLines {
  readonly #tell: (kind: LineKind, suppressed: number) => void;
  /** Of the present second. */
  readonly #counts = new Map<string, Count>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `tell` writes the line about those that were left out. */
  constructor(tell: (kind: LineKind, suppressed: number) => void) {
    this.#tell = tell;
  }

  /** Whether such a line may be written; if not, it is counted. */
  admits(kind: LineKind): boolean {
    const count = this.#countOf(kind);
    if (count.written < MAX_LINES_A_SECOND) {
      count.written++;
      return true;
    }
    count.suppressed++;
    return false;
  }

  /** Tells what was left out so far. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const counts = [...this.#counts.values()];
    this.#counts.clear();
    for (const { kind, suppressed } of counts) if (suppressed > 0) this.#tell(kind, suppressed);
  }

  #countOf(kind: LineKind): Count {
    const { level, message, component = "", policy = "", reason = "" } = kind;
    const key = `${level}\n${component}\n${policy}\n${reason}\n${message}`;
    let count = this.#counts.get(key) ?? (this.#counts.size < MAX_KINDS ? undefined : this.#counts.get(""));
    if (count === undefined) {
      const full = this.#counts.size >= MAX_KINDS;
      count = {
        kind: full ? { level: "error", message: "(lines of many kinds)" } : kind,
        written: 0,
        suppressed: 0,
      };
      this.#counts.set(full ? "" : key, count);
      this.#arm();
    }
    return count;
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.flush(), SECOND_MS);
  }
}
