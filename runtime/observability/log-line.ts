import type { LogFields, LogLevel } from "@policy-engine/sdk";
import { toLoggable } from "./loggable.ts";
import type { Scrub } from "./scrub.ts";

/** A line before it is written. */
export interface LogRecord {
  readonly timestamp: Date;
  readonly level: LogLevel;
  readonly message: string;
  /** Facts to merge, later ones win. */
  readonly facts: readonly LogFields[];
  /** Takes out what must not be in a line with an `error`, which can quote anything. Default: nothing. */
  readonly scrub?: Scrub;
}

/** A message is one thought: whatever is longer was put together from input. */
const MAX_MESSAGE = 8 * 1024;
/** Ids that come from a client's header. */
const MAX_ID = 256;
/** The component of lines that do not name one. */
const DEFAULT_COMPONENT = "engine";

/** One JSON object and a line feed, always with the same six fields. */
export function formatJsonLine(record: LogRecord): string {
  const { component, requestId, message, metadata } = merge(record);
  const line = {
    timestamp: record.timestamp.toISOString(),
    level: record.level,
    component,
    request_id: requestId,
    message,
    metadata,
  };
  return `${JSON.stringify(line)}\n`;
}

/** Time, level, component, message, then `key=value` pairs. */
export function formatTextLine(record: LogRecord): string {
  const { component, requestId, message, metadata } = merge(record);
  const words = [
    record.timestamp.toISOString(),
    record.level.toUpperCase().padEnd(5),
    `[${visible(component)}]`,
    visible(message),
  ];
  if (requestId !== "") words.push(`request_id=${textValue(requestId)}`);
  for (const [key, value] of Object.entries(metadata)) words.push(`${visible(key)}=${textValue(value)}`);
  return `${words.join(" ")}\n`;
}

interface Merged {
  readonly component: string;
  readonly requestId: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

function merge({ facts, message, scrub }: LogRecord): Merged {
  const { component, request_id: requestId, ...rest } = mergeFacts(facts);
  const clean = rest.error === undefined ? undefined : scrub;
  return {
    component: typeof component === "string" ? cut(component, MAX_ID) : DEFAULT_COMPONENT,
    requestId: typeof requestId === "string" ? cut(requestId, MAX_ID) : "",
    message: cut(clean === undefined ? String(message) : clean(String(message)), MAX_MESSAGE),
    metadata: toLoggable(rest, clean),
  };
}

function mergeFacts(facts: readonly LogFields[]): LogFields {
  const merged: Record<string, unknown> = {};
  for (const each of facts) {
    try {
      Object.assign(merged, each);
    } catch {
      // A getter of the caller's threw: the message is still worth a line.
      merged.fields = "[unreadable]";
    }
  }
  return merged;
}

function textValue(value: unknown): string {
  if (typeof value === "string" && /^[\w./:@+-]+$/.test(value)) return value;
  return visible(JSON.stringify(value));
}

/** Control characters would let a value forge lines or drive the terminal. */
function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}… (${text.length} characters)`;
}
