import type { Problem } from "../document/problem.ts";
import type { EngineLogger } from "../observability/log.ts";
import { ConfigurationError } from "./configuration-error.ts";
import { signatureOf } from "./file-signature.ts";
import { type RouteFileLimits, RouteFiles } from "./route-files.ts";
import type { RouteSet } from "./route-source.ts";
import type { ApplyReport, SnapshotStore } from "./snapshot-store.ts";

/** Between two looks at the files. With {@link STABLE_FOR_REMOVAL} a change is read within 0.8 seconds. */
const POLL_MILLISECONDS = 200;
/** Looks that must agree before a change is read: a file that is being written changes in between. */
const STABLE = 2;
/** The same before routes are taken away: that a file is gone for a moment is how some editors save. */
const STABLE_FOR_REMOVAL = 3;
/** How often a reload on request reads again when the files change under it. */
const READ_ATTEMPTS = 5;

export interface FileSourceSettings {
  /** A file or a folder. */
  readonly path: string;
  /** Whether to look for changes. */
  readonly watch: boolean;
  readonly limits: RouteFileLimits;
  readonly store: SnapshotStore;
  readonly log: EngineLogger;
  /** Default 200. */
  readonly pollMilliseconds?: number;
}

/** Brings the routes from files to the store: once at start, then whenever they change. */
export class FileSource {
  readonly #settings: FileSourceSettings;
  readonly #files: RouteFiles;
  /** What was read last, and what is looked at since: how often it was seen, and what it says. */
  #applied: string | undefined;
  #seen: { readonly signature: string; times: number; read?: RouteSet | undefined } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  /** Why looking failed last, until something is applied: it is not logged five times a second. */
  #fault: string | undefined;
  /** Looks and reloads, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(settings: FileSourceSettings) {
    this.#settings = settings;
    this.#files = new RouteFiles(settings.path, settings.limits);
  }

  /**
   * Reads and applies the routes, then begins to watch.
   * @throws {ConfigurationError} If no snapshot could be made of them: the path cannot be read, a file cannot be
   * parsed or is empty. Errors in single routes are in the report, and those routes are unavailable.
   */
  async start(): Promise<ApplyReport> {
    const report = await this.reload();
    if (report.snapshot === undefined) throw new ConfigurationError(report.problems);
    this.#schedule();
    return report;
  }

  /** Reads and applies the routes at once, changed or not. What is wrong with them is in the report. */
  reload(): Promise<ApplyReport> {
    return this.#inTurn(() => this.#reload());
  }

  /**
   * Looks at the files once and applies them if they changed and are stable. The watch does this every 200 ms.
   * Never rejects; a fault is logged once, until something is applied.
   */
  async poll(): Promise<ApplyReport | undefined> {
    try {
      const report = await this.#inTurn(() => this.#look());
      if (report !== undefined) this.#fault = undefined;
      return report;
    } catch (cause) {
      const { log, path } = this.#settings;
      const fault = String(cause);
      if (fault !== this.#fault)
        log.error(`Cannot watch ${JSON.stringify(path)}: looking at it failed`, { error: cause });
      this.#fault = fault;
      return undefined;
    }
  }

  /** Ends the watch; resolves when a look that has begun is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#turn;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #schedule(): void {
    const { watch, pollMilliseconds = POLL_MILLISECONDS } = this.#settings;
    if (!watch || this.#stopped) return;
    this.#timer = setTimeout(() => {
      void this.poll().finally(() => this.#schedule());
    }, pollMilliseconds);
    // The servers keep the process alive; the watch alone does not.
    this.#timer.unref();
  }

  async #reload(): Promise<ApplyReport> {
    const { path, limits, store } = this.#settings;
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const before = await signatureOf(path, limits);
      const set = await this.#files.read();
      if ((await signatureOf(path, limits)) === before) return this.#apply(set, before);
    }
    this.#seen = undefined;
    return store.apply({ sources: [], problems: [stillWritten(path)] });
  }

  async #look(): Promise<ApplyReport | undefined> {
    const { path, limits, store } = this.#settings;
    if (this.#stopped) return undefined;
    const signature = await signatureOf(path, limits);
    if (signature === this.#applied) {
      this.#seen = undefined;
      return undefined;
    }
    if (this.#seen?.signature !== signature) this.#seen = { signature, times: 0 };
    const seen = this.#seen;
    seen.times += 1;
    if (seen.times < STABLE) return undefined;
    if (seen.read === undefined) {
      const set = await this.#files.read();
      // Changed while it was read: the next look begins anew.
      if ((await signatureOf(path, limits)) !== signature) return undefined;
      seen.read = set;
    }
    if (seen.times < STABLE_FOR_REMOVAL && store.wouldRemove(seen.read)) return undefined;
    return this.#apply(seen.read, signature);
  }

  async #apply(set: RouteSet, signature: string): Promise<ApplyReport> {
    this.#seen = undefined;
    const report = await this.#settings.store.apply(set);
    this.#applied = signature;
    return report;
  }
}

function stillWritten(path: string): Problem {
  const message = `Cannot read routes from ${JSON.stringify(path)}: they change while they are read`;
  return { severity: "error", file: path, line: 1, column: 1, pointer: "", message };
}
