import type { Scrub } from "../observability/scrub.ts";

/** Longest reason that is passed on; a message can hold a whole document. */
const MAX_REASON = 1000;

/**
 * What policy code threw, as one short line; anything can be thrown, also what cannot be printed. Secrets are
 * taken out by `scrub` before anything else changes the text, so that none is left in part.
 */
export function reasonOf(thrown: unknown, scrub: Scrub = (text) => text): string {
  let text: string;
  try {
    text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  } catch {
    text = "something that cannot be printed";
  }
  const line = scrub(text).replace(/\s+/g, " ").trim();
  return line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}…` : line;
}
