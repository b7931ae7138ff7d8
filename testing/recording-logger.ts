import type { LogFields, LogLevel } from "@policy-engine/sdk";
import type { EngineLogger } from "../runtime/observability/log.ts";

/** A line that a policy, or the engine about a policy, wrote to the log. */
export interface TestLogLine {
  readonly level: LogLevel;
  readonly message: string;
  /** Facts of the line, with those that the engine adds, such as `policy`, `route` and `request_id`. */
  readonly fields: LogFields;
}

/** Keeps lines in a list instead of writing them. Every level is enabled, and no line is left out. */
export class RecordingLogger implements EngineLogger {
  readonly level = "debug";
  readonly lines: TestLogLine[];
  readonly #bound: LogFields;

  constructor(lines: TestLogLine[] = [], bound: LogFields = {}) {
    this.lines = lines;
    this.#bound = bound;
  }

  enabled(): boolean {
    return true;
  }

  setLevel(): void {}

  flush(): void {}

  hide(): () => void {
    return () => {};
  }

  child(bound: LogFields): EngineLogger {
    return new RecordingLogger(this.lines, { ...this.#bound, ...bound });
  }

  debug(message: string, fields?: LogFields): void {
    this.#add("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#add("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#add("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#add("error", message, fields);
  }

  repeated(level: LogLevel, message: string, fields?: LogFields): void {
    this.#add(level, message, fields);
  }

  #add(level: LogLevel, message: string, fields: LogFields = {}): void {
    this.lines.push({ level, message, fields: { ...this.#bound, ...fields } });
  }
}
