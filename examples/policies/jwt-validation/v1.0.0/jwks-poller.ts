import type { Logger } from "@policy-engine/sdk";
import { fetchKeySet } from "./fetch-key-set.ts";
import { type KeySet, type KeyWish, readKeySet, type VerificationKey } from "./key-set.ts";
import { type KeySource, NO_KEYS } from "./key-source.ts";

/** An issuer that says its keys change at once is not asked more often than this. */
const MIN_REFRESH_MS = 10_000;
/** The first wait after a failure; it doubles each time. */
const FIRST_RETRY_MS = 1000;
/** The longest wait after a failure. */
const MAX_RETRY_MS = 60_000;
/** Requests with unknown keys make the issuer be asked at most once in this time, whatever it answers. */
const COOLDOWN_MS = 30_000;
/** The most requests that wait for keys at a time; the others are answered by the keys that are there. */
const MAX_WAITING = 1000;
/** The part of a wait that chance takes away, so that many engines do not ask at the same moment. */
const JITTER = 0.1;

export interface PollerOptions {
  readonly url: string;
  readonly algorithms: readonly string[];
  readonly refreshMs: number;
  /** How long keys last after the last answer that gave or confirmed them. */
  readonly keepMs: number;
  /** The longest time a request waits. */
  readonly waitMs: number;
  /** Lines go to the first of them. */
  readonly logs: Iterable<Logger>;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** The poller of the same URL that this one takes the place of. */
  readonly previous?: JwksPoller | undefined;
  /** Default: 30 s. */
  readonly cooldownMs?: number;
}

/** How the keys are: `lost` when the last good ones are too old, or there were none ever. */
type Condition = "good" | "failing" | "lost";

/** Keeps the keys that an issuer publishes at a URL, and asks for them in the background. */
export class JwksPoller implements KeySource {
  readonly #options: PollerOptions;
  /** The URL as far as it may stand in a log: a query could hold a secret. */
  readonly #place: string;
  #keys: KeySet = NO_KEYS;
  /** What the keys were read from. */
  #text: string | undefined;
  #etag: string | undefined;
  #confirmedAt: number | undefined;
  #asking: Promise<void> | undefined;
  #waiting = 0;
  #failures = 0;
  #condition: Condition = "good";
  #mayAskAgain = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: PollerOptions) {
    const { origin, pathname } = new URL(options.url);
    this.#options = options;
    this.#place = origin + pathname;
    options.signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  /** Starts with what the previous one knows, and asks the issuer without waiting for its answer. */
  static async start(options: PollerOptions): Promise<JwksPoller> {
    const poller = new JwksPoller(options);
    if (options.previous !== undefined) await poller.#adopt(options.previous);
    void poller.#ask();
    return poller;
  }

  get usableUntil(): number {
    return this.#confirmedAt === undefined ? 0 : this.#confirmedAt + this.#options.keepMs;
  }

  find(wish: KeyWish): readonly VerificationKey[] {
    return this.#keys.find(wish);
  }

  newer(): Promise<void> | undefined {
    const { cooldownMs = COOLDOWN_MS, signal } = this.#options;
    if (signal.aborted || this.#waiting >= MAX_WAITING) return undefined;
    if (this.#asking === undefined) {
      const now = performance.now();
      if (now < this.#mayAskAgain) return undefined;
      this.#mayAskAgain = now + cooldownMs;
    }
    return this.#wait(this.#ask());
  }

  /** Keys that were good a moment ago are better than none, should the issuer be down just now. */
  async #adopt(previous: JwksPoller): Promise<void> {
    const text = previous.#text;
    if (text === undefined) return;
    try {
      this.#keys = await this.#read(text);
      this.#text = text;
      this.#etag = previous.#etag;
      this.#confirmedAt = previous.#confirmedAt;
    } catch {
      // None of them is of the algorithms that are accepted now: as if there had been none.
    }
  }

  #read(text: string): Promise<KeySet> {
    return readKeySet(text, { algorithms: this.#options.algorithms, secrets: false });
  }

  /** Asks the issuer, once at a time. Never rejects. */
  #ask(): Promise<void> {
    clearTimeout(this.#timer);
    this.#asking ??= this.#refresh().then((nextMs) => {
      this.#asking = undefined;
      if (this.#options.signal.aborted) return;
      this.#timer = setTimeout(() => void this.#ask(), nextMs * (1 - Math.random() * JITTER));
      this.#timer.unref();
    });
    return this.#asking;
  }

  /** Takes over what the issuer publishes; resolves to the time until it should be asked again. */
  async #refresh(): Promise<number> {
    const { url, refreshMs, signal } = this.#options;
    try {
      const { text, etag, maxAgeMs } = await fetchKeySet(url, { etag: this.#etag, signal });
      if (text !== undefined) {
        const next = await this.#read(text);
        this.#keys = this.#keys.replacedBy(next);
        this.#text = text;
        this.#etag = etag;
      }
      this.#confirmedAt = Date.now();
      this.#failures = 0;
      this.#note("good");
      return Math.min(Math.max(maxAgeMs ?? refreshMs, MIN_REFRESH_MS), refreshMs);
    } catch (error) {
      if (signal.aborted) return 0;
      this.#failures += 1;
      this.#note(Date.now() < this.usableUntil ? "failing" : "lost", error);
      return Math.min(FIRST_RETRY_MS * 2 ** (this.#failures - 1), MAX_RETRY_MS, refreshMs);
    }
  }

  /** Says what has changed, not what every try came to. */
  #note(condition: Condition, cause?: unknown): void {
    if (condition === this.#condition) return;
    this.#condition = condition;
    const [log] = this.#options.logs;
    if (log === undefined) return;
    const fields = { url: this.#place };
    if (condition === "good") return log.info("Keys of an issuer are there again", fields);
    const error = cause instanceof Error ? cause.message : String(cause);
    if (condition === "lost") {
      const message = "Cannot get the keys of an issuer: its tokens are not verified until they come";
      return log.error(message, { ...fields, error });
    }
    const usable_until = new Date(this.usableUntil).toISOString();
    log.warn("Cannot refresh the keys of an issuer: the last good ones are used", {
      ...fields,
      error,
      usable_until,
    });
  }

  async #wait(answer: Promise<void>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.waitMs);
    });
    this.#waiting += 1;
    try {
      await Promise.race([answer, over]);
    } finally {
      clearTimeout(timer);
      this.#waiting -= 1;
    }
  }
}
