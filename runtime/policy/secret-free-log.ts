import type { LogFields, LogLevel } from "@policy-engine/sdk";
import type { EngineLogger } from "../observability/log.ts";
import { toLoggable } from "../observability/loggable.ts";
import type { Scrub } from "../observability/scrub.ts";

/**
 * The log of an instance with secret parameters. What a policy writes, and what its hooks throw (the errors of
 * libraries quote what they were given), passes `scrub` first. Bound facts are the engine's own and do not.
 */
export class SecretFreeLog implements EngineLogger {
  readonly #log: EngineLogger;
  readonly #scrub: Scrub;

  constructor(log: EngineLogger, scrub: Scrub) {
    this.#log = log;
    this.#scrub = scrub;
  }

  enabled(level: LogLevel): boolean {
    return this.#log.enabled(level);
  }

  child(bound: LogFields): EngineLogger {
    return new SecretFreeLog(this.#log.child(bound), this.#scrub);
  }

  get level(): LogLevel {
    return this.#log.level;
  }

  setLevel(level: LogLevel): void {
    this.#log.setLevel(level);
  }

  repeated(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.#log.enabled(level)) return;
    this.#log.repeated(level, this.#scrub(String(message)), fields && toLoggable(fields, this.#scrub));
  }

  hide(secrets: readonly string[]): () => void {
    return this.#log.hide(secrets);
  }

  flush(): void {
    this.#log.flush();
  }

  debug(message: string, fields?: LogFields): void {
    this.#write("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write("error", message, fields);
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (!this.#log.enabled(level)) return;
    this.#log[level](this.#scrub(String(message)), fields && toLoggable(fields, this.#scrub));
  }
}
