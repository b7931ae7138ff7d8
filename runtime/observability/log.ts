import type { LogFields, Logger, LogLevel } from "@policy-engine/sdk";
import { formatJsonLine, formatTextLine, type LogRecord } from "./log-line.ts";

/** A logger that can make others whose lines carry more facts. */
export interface EngineLogger extends Logger {
  /** A logger whose lines also carry these. `component` and `request_id` are top-level fields of a line. */
  child(bound: LogFields): EngineLogger;
  /** Changes the level of this logger and of all made from it. */
  setLevel(level: LogLevel): void;
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

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** What a logger and everything made from it share. */
interface Sink {
  rank: number;
  readonly settings: LoggerSettings;
}

/** Makes the logger that all others of a process come from. */
export function createLogger(settings: LoggerSettings): EngineLogger {
  return new LineLogger({ rank: RANK[settings.level], settings }, undefined, undefined);
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

  setLevel(level: LogLevel): void {
    this.#sink.rank = RANK[level];
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
    const { settings } = this.#sink;
    try {
      const timestamp = settings.now?.() ?? new Date();
      const record: LogRecord = { timestamp, level, message, facts: this.#facts(fields) };
      settings.write(settings.format === "json" ? formatJsonLine(record) : formatTextLine(record));
    } catch {
      // A line that cannot be written has nowhere to be reported.
    }
  }

  /** The facts of the line, the outermost logger's first. */
  #facts(fields: LogFields | undefined): readonly LogFields[] {
    const facts: LogFields[] = fields === undefined ? [] : [fields];
    for (let logger: LineLogger | undefined = this; logger !== undefined; logger = logger.#parent) {
      if (logger.#bound !== undefined) facts.push(logger.#bound);
    }
    return facts.reverse();
  }
}
