// Turns whatever someone hands to a log into plain, bounded, JSON-safe data. It must never throw and never run
// for long: the values come from policies and, through them, from clients.

/** Deeper structure is rarely read in a log. */
const MAX_DEPTH = 6;
/** Members of one object or list. */
const MAX_MEMBERS = 100;
/** Values of one line, over all levels. */
const MAX_VALUES = 1_000;
/** Characters of one text: enough for a stack. */
const MAX_TEXT = 8 * 1024;
/** Characters of all texts of one line. Most collectors cut or drop lines over 64 KiB. */
const MAX_TOTAL_TEXT = 24 * 1024;

interface Budget {
  values: number;
  text: number;
  /** What is done to a text before it is cut. */
  readonly clean: (text: string) => string;
  /** The objects around the present one, to find cycles. */
  readonly around: Set<object>;
}

/**
 * A copy of `fields` that `JSON.stringify` takes, with cycles, sizes and odd values dealt with. `clean` is
 * applied to every text in it, names included, before anything is cut.
 */
export function toLoggable(
  fields: Readonly<Record<string, unknown>>,
  clean: (text: string) => string = (text) => text,
): Readonly<Record<string, unknown>> {
  const budget: Budget = { values: MAX_VALUES, text: MAX_TOTAL_TEXT, clean, around: new Set() };
  return copyMembers(Object.entries(fields), budget);
}

function copy(value: unknown, budget: Budget): unknown {
  if (budget.values <= 0 || budget.text <= 0) return "[truncated]";
  budget.values--;
  switch (typeof value) {
    case "string":
      return copyText(value, budget);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
    case "undefined":
      return value;
    case "bigint":
      return copyText(value.toString(), budget);
    case "symbol":
      return copyText(value.toString(), budget);
    case "function":
      return "[function]";
    default:
      return value === null ? null : copyObject(value as object, budget);
  }
}

function copyObject(value: object, budget: Budget): unknown {
  if (budget.around.has(value)) return "[circular]";
  if (budget.around.size >= MAX_DEPTH) return "[too deep]";
  budget.around.add(value);
  try {
    return copyByKind(value, budget);
  } catch {
    // A getter or a proxy of the caller's threw.
    return "[unreadable]";
  } finally {
    budget.around.delete(value);
  }
}

function copyByKind(value: object, budget: Budget): unknown {
  if (value instanceof Error) return copyError(value, budget);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof URL || value instanceof RegExp) return copyText(String(value), budget);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return copyList(value, value.length, budget);
  if (value instanceof Set) return copyList(value, value.size, budget);
  if (value instanceof Map) return copyMembers(value, budget, value.size);
  return copyMembers(ownMembers(value), budget);
}

function copyError(error: Error, budget: Budget): unknown {
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  const facts: [string, unknown][] = [
    ["name", name],
    ["message", message],
    ["code", code],
    ["stack", stack],
    ["cause", cause],
  ];
  if (error instanceof AggregateError) facts.push(["errors", error.errors]);
  return copyMembers(facts, budget);
}

function copyList(values: Iterable<unknown>, length: number, budget: Budget): unknown[] {
  const list: unknown[] = [];
  for (const value of values) {
    if (list.length >= MAX_MEMBERS) {
      list.push(`[${length - MAX_MEMBERS} more]`);
      break;
    }
    list.push(copy(value, budget));
  }
  return list;
}

function copyMembers(
  members: Iterable<readonly [unknown, unknown]>,
  budget: Budget,
  size?: number,
): Record<string, unknown> {
  // Without a prototype, so that a member called __proto__ is a member.
  const object: Record<string, unknown> = Object.create(null);
  let count = 0;
  for (const [key, value] of members) {
    if (count++ >= MAX_MEMBERS) {
      object["…"] = size === undefined ? "[more]" : `[${size - MAX_MEMBERS} more]`;
      break;
    }
    const copied = copy(value, budget);
    if (copied !== undefined) object[copyText(String(key), budget)] = copied;
  }
  return object;
}

/** Own enumerable members one by one: a getter that throws loses its own value only. */
function* ownMembers(value: object): Generator<[string, unknown]> {
  for (const key of Object.keys(value)) {
    let member: unknown;
    try {
      member = (value as Record<string, unknown>)[key];
    } catch {
      member = "[unreadable]";
    }
    yield [key, member];
  }
}

function copyText(given: string, budget: Budget): string {
  const text = budget.clean(given);
  const room = Math.max(0, Math.min(MAX_TEXT, budget.text));
  budget.text -= Math.min(text.length, room);
  return text.length <= room ? text : `${text.slice(0, room)}… (${text.length} characters)`;
}
