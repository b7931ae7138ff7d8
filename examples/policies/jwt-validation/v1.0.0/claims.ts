/** How deep claims may be; those of real tokens are a few levels deep. */
const MAX_DEPTH = 32;
/**
 * What does not stand in a header as it is: all but visible ASCII and inner blanks, and the sign that escapes. Blanks at
 * the end are looked for from the first of them only: from each would take a second for a long run inside.
 */
const ESCAPED = /^ +|(?<! ) +$|[^ -$&-~]/gu;
/** The same in a list, where commas part the items. */
const ESCAPED_IN_LIST = /^ +|(?<! ) +$|[^ -$&-+\--~]/gu;

/** What a verified token says. */
export type Claims = Readonly<Record<string, unknown>>;

/** Freezes claims, which every request with the token shares. False if they are deeper than anyone's should be. */
export function freezeClaims(value: unknown, depth = 0): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  Object.freeze(value);
  return Object.values(value).every((item) => freezeClaims(item, depth + 1));
}

/** The steps to a claim: its name, or those of a JSON pointer (RFC 6901) that begins with a slash. */
export function claimPath(claim: string): readonly string[] {
  if (!claim.startsWith("/")) return [claim];
  return claim
    .slice(1)
    .split("/")
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** A claim's value, or undefined when the token does not have it. */
export function claimAt(claims: Claims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/**
 * A claim as the value of a header, or undefined where it cannot be one: an object, null, empty text, a number
 * that JSON has rounded. Lists are joined by commas. What a header cannot carry is percent-encoded as UTF-8, and so is
 * `%`, so that `decodeURIComponent` gives the claim back whatever is in it.
 */
export function headerValue(value: unknown): string | undefined {
  if (!Array.isArray(value)) return scalar(value, ESCAPED);
  const items = value.map((item) => scalar(item, ESCAPED_IN_LIST));
  return items.length === 0 || items.includes(undefined) ? undefined : items.join(",");
}

function scalar(value: unknown, escaped: RegExp): string | undefined {
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value);
  }
  if (typeof value !== "string" || value === "") return undefined;
  return value.replaceAll(escaped, percentEncode);
}

function percentEncode(text: string): string {
  return [...new TextEncoder().encode(text)].map(escapeByte).join("");
}

function escapeByte(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}
