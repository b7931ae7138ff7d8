import type { LogFields, Logger, LogLevel } from "@policy-engine/sdk";

/** A logger that can make others whose lines carry more facts. */
export interface EngineLogger extends Logger {
  /** A logger whose lines also carry these. `component` and `request_id` are top-level fields of a line. */
  child(bound: LogFields): EngineLogger;
  /** Changes the level of this logger and of all made from it. */
  setLevel(level: LogLevel): void;
}
