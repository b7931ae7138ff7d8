/** How much a line matters, from least to most. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Facts of a log line, beside its message. Never put a secret here. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Writes lines to the engine's log. The engine adds the time, the policy, its version, the route and, within
 * an exchange, the request id; fields named `component`, `policy`, `route` or `request_id` cannot change them.
 */
export interface Logger {
  /** Whether a line of this level would be written. Ask before a message or its fields are costly to make. */
  enabled(level: LogLevel): boolean;
  /** Details for someone who is looking for a fault. Off by default. */
  debug(message: string, fields?: LogFields): void;
  /** Something an operator may want to know. */
  info(message: string, fields?: LogFields): void;
  /** Something an operator should look at. */
  warn(message: string, fields?: LogFields): void;
  /** Something that failed. */
  error(message: string, fields?: LogFields): void;
}
