import type { LogFields, Logger, LogLevel } from "@policy-engine/sdk";
import { formatJsonLine, formatTextLine, type LogRecord } from "./log-line.ts";
import { type LineKind, RepeatedLines } from "./repeated-lines.ts";
import { SecretsInUse } from "./secrets-in-use.ts";

/** A logger that can make others whose lines carry more facts. */
export interface EngineLogger extends Logger {
  /** A logger whose lines also carry these. `component` and `request_id` are top-level fields of a line. */
  child(bound: LogFields): EngineLogger;
  /** The least level that is written. */
  readonly level: LogLevel;
  /** Changes the level of this logger and of all made from it. */
  setLevel(level: LogLevel): void;
  /**
   * Writes a line that requests can cause again and again. Of one level, component, policy, reason and message ten
   * are written in a second; a line with `suppressed` tells how many more there were. The message must be the
   * engine's own words, as it is kept.
   */
  repeated(level: LogLevel, message: string, fields?: LogFields): void;
  /**
   * Keeps these texts out of lines with an `error`, whoever writes them, until the function that is returned is
   * called and for some time after.
   */
  hide(secrets: readonly string[]): () => void;
  /** Tells now how many lines were left out, for the end of the process. */
  flush(): void;
}

/** `json`: one object a line, for machines; `text`: for people at a terminal. */
export type LogFormat = "json" | "text";

/** What {@link createLogger} needs. */
export interface LoggerSettings {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes one line, with its line feed. What it throws is ignored: logging never fails its caller. */
  write(line: string): void;
  /** The time of a line. Default: the system's clock. */
  now?(): Date;
}

/** The line that tells how many others were left out. */
const LEFT_OUT = "Left out lines that repeat";
const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Every level, from the least. */
export const LOG_LEVELS = Object.keys(RANK) as readonly LogLevel[];

/** What a logger and everything made from it share. */
interface Sink {
  level: LogLevel;
  rank: number;
  readonly settings: LoggerSettings;
  readonly repeated: RepeatedLines;
  readonly secrets: SecretsInUse;
}

/** Makes the logger that all others of a process come from. */
export function createLogger(settings: LoggerSettings): EngineLogger {
  const secrets = new SecretsInUse();
  const repeated = new RepeatedLines(({ level, message, ...facts }, suppressed) => {
    // Whatever the level is by now: they were left out when it let them pass.
    write(settings, level, { message: LEFT_OUT, facts: [{ ...facts, suppressed, line: message }] });
  });
  const { level } = settings;
  return new LineLogger({ level, rank: RANK[level], settings, repeated, secrets }, undefined, undefined);
}

function write(
  settings: LoggerSettings,
  level: LogLevel,
  line: Pick<LogRecord, "message" | "facts" | "scrub">,
): void {
  try {
    const timestamp = settings.now?.() ?? new Date();
    const record: LogRecord = { timestamp, level, ...line };
    settings.write(settings.format === "json" ? formatJsonLine(record) : formatTextLine(record));
  } catch {
    // A line that cannot be written has nowhere to be reported.
  }
}

/** Keeps a link to its parent: facts are put together when a line is written, so that `child` costs one object. */
class LineLogger implements EngineLogger {
  readonly #sink: Sink;
  readonly #parent: LineLogger | undefined;
  readonly #bound: LogFields | undefined;

  constructor(sink: Sink, parent: LineLogger | undefined, bound: LogFields | undefined) {
    this.#sink = sink;
    this.#parent = parent;
    this.#bound = bound;
  }

  enabled(level: LogLevel): boolean {
    return RANK[level] >= this.#sink.rank;
  }

  child(bound: LogFields): EngineLogger {
    return new LineLogger(this.#sink, this, bound);
  }

  get level(): LogLevel {
    return this.#sink.level;
  }

  setLevel(level: LogLevel): void {
    this.#sink.level = level;
    this.#sink.rank = RANK[level];
  }

  repeated(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.enabled(level)) return;
    const { component, policy, reason } = Object.assign({}, ...this.#facts(fields)) as Partial<LineKind>;
    if (this.#sink.repeated.admits({ level, message, component, policy, reason }))
      this.#write(level, message, fields);
  }

  hide(secrets: readonly string[]): () => void {
    return this.#sink.secrets.hold(secrets);
  }

  flush(): void {
    this.#sink.repeated.flush();
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#sink.rank <= RANK.debug) this.#write("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    if (this.#sink.rank <= RANK.info) this.#write("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    if (this.#sink.rank <= RANK.warn) this.#write("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write("error", message, fields);
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    const { settings, secrets } = this.#sink;
    write(settings, level, { message, facts: this.#facts(fields), scrub: secrets.scrub });
  }

  /** The facts of the line, the outermost logger's first; later ones win. */
  #facts(fields: LogFields | undefined): readonly LogFields[] {
    const bound: LogFields[] = [];
    for (let logger: LineLogger | undefined = this; logger !== undefined; logger = logger.#parent) {
      if (logger.#bound !== undefined) bound.push(logger.#bound);
    }
    bound.reverse();
    // A policy may log what a client sent: whose line it is stands in front, and holds.
    return fields === undefined ? bound : [...bound, fields, ...bound];
  }
}
