import { RE2JS } from "@bufbuild/re2";
import {
  COMPILE_WORK_PER_CHARACTER,
  COMPILE_WORK_PER_COPY,
  MAX_MADE_PATTERN_TEXT,
  MAX_PATTERN_COPIES,
  MAX_PATTERN_INSTRUCTIONS,
  MAX_PATTERN_TEXT,
  PATTERN_CACHE_SIZE,
} from "./limits.ts";

/** A regular expression whose matching takes time linear in the text. */
export interface Pattern {
  readonly instructions: number;
  test(text: string): boolean;
}

/** Compiled patterns of one condition. The oldest gives way, as patterns may come from requests. */
export class PatternCache {
  readonly #patterns = new Map<string, Pattern>();

  /**
   * The pattern, or why it cannot be used. `pay` is told beforehand what compiling a new one may take, and
   * throws where that is too much.
   */
  get(source: string, pay: (work: number) => void): Pattern | string {
    const known = this.#patterns.get(source);
    if (known !== undefined) return known;
    if (source.length > MAX_MADE_PATTERN_TEXT) return `is longer than ${MAX_MADE_PATTERN_TEXT} characters`;
    // As if all counted repetitions were inside each other.
    const copies = countsOf(source).reduce((product, count) => product * count, 1);
    pay(source.length * (COMPILE_WORK_PER_CHARACTER + COMPILE_WORK_PER_COPY * copies));
    const compiled = compilePattern(source);
    if (typeof compiled === "string") return compiled;
    if (this.#patterns.size >= PATTERN_CACHE_SIZE) {
      const [oldest] = this.#patterns.keys();
      this.#patterns.delete(oldest!);
    }
    this.#patterns.set(source, compiled);
    return compiled;
  }
}

/** Compiles a pattern, or tells why it cannot be used, in words that go on from "the regular expression". */
export function compilePattern(source: string): Pattern | string {
  if (source.length > MAX_PATTERN_TEXT) return `is longer than ${MAX_PATTERN_TEXT} characters`;
  // What compiling may take. RE2 itself refuses repetitions inside each other that come to more than 1,000.
  const copies = countsOf(source).reduce((sum, count) => sum + count, 0);
  if (source.length * copies > MAX_PATTERN_COPIES) return "repeats too many characters";
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(source);
  } catch {
    return "is not well-formed";
  }
  const instructions = compiled.re2().prog.numInst();
  if (instructions > MAX_PATTERN_INSTRUCTIONS) {
    return `compiles to ${instructions} instructions, more than ${MAX_PATTERN_INSTRUCTIONS}`;
  }
  return { instructions, test: (text) => compiled.test(text) };
}

/**
 * A pattern that is a literal. Where it has to match all of the text, `^…$`, the engine is asked for just that: it goes over
 * the text several times faster than when it looks for the beginning at each character.
 */
export function compileLiteralPattern(source: string): Pattern | string {
  const pattern = compilePattern(source);
  const whole = typeof pattern === "string" ? undefined : insideAnchors(source);
  if (whole === undefined) return pattern;
  const compiled = RE2JS.compile(whole);
  return { instructions: compiled.re2().prog.numInst(), test: (text) => compiled.testExact(text) };
}

/** What stands between `^` and `$`, where these belong to all of a well-formed pattern; else undefined. */
function insideAnchors(source: string): string | undefined {
  if (!/^\^[^*+?{].*\$$/s.test(source)) return undefined;
  const inside = source.slice(1, -1);
  // An escaped character, a class, the beginning of a group, or one other character; a quotation is none of them.
  const part = /\\[^QE]|\[\^?(?:[^\\[\]]|\\.)+\]|\((?:\?:)?|[^\\[(]/suy;
  let depth = 0;
  for (let at = 0; at < inside.length; at = part.lastIndex) {
    part.lastIndex = at;
    const [token] = part.exec(inside) ?? [];
    // Flags may change what the anchors mean.
    if (token === undefined || (token === "(" && inside[part.lastIndex] === "?")) return undefined;
    if (token.startsWith("(")) depth++;
    else if (token === ")") depth--;
    else if (token === "|" && depth === 0) return undefined;
  }
  return inside;
}

/** The larger number of each `{from,to}`. */
function countsOf(source: string): number[] {
  return [...source.matchAll(/\{(\d+)(?:,(\d*))?\}/g)].map(([, from = "", to = ""]) =>
    Math.max(1, Number(from), Number(to)),
  );
}
