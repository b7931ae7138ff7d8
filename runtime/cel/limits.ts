/** Far above what a person writes and reads; bytes of UTF-8. */
export const MAX_SOURCE_BYTES = 8 * 1024;

/** For cel-js. Nodes bound what the recursive checker and evaluator take of the stack. */
export const STRUCTURE_LIMITS = {
  maxAstNodes: 500,
  maxDepth: 40,
  maxListElements: 256,
  maxMapEntries: 64,
  maxCallArguments: 8,
} as const;

/** Macros inside each other: each level multiplies the work. */
export const MAX_MACRO_NESTING = 2;

/** What a macro goes over, and what a list or map may have when lists are joined. Envoy sends 100 headers at most. */
export const MAX_ITEMS = 1_000;

/**
 * What one evaluation may cost: one for a node visited by a macro, for an item compared, and for each KiB of text read.
 * Each takes about a microsecond at most, so that the event loop is held for a tenth of a second at the worst, or two.
 */
export const MAX_WORK = 100_000;

/** Characters of text that one unit of work reads. */
export const CHARACTERS_PER_WORK = 1_024;

/**
 * Characters that one unit of work takes one by one, beside reading them: a text is split, or parsed as JSON, where each
 * may become a value of its own.
 */
export const CHARACTERS_PER_STEP_WORK = 32;

/** Keys of an object that one unit of work counts. */
export const KEYS_PER_WORK = 16;

/** Characters of a text made by an expression, so that texts cannot double their way to all memory. */
export const MAX_MADE_TEXT = 1024 * 1024;

/** Characters of a text to split or to replace in: each may become a text of its own. */
export const MAX_SPLIT_TEXT = 16 * 1024;

/** `-9223372036854775808.000000001ns` has less. The numbers in it become as long as they are. */
export const MAX_DURATION_TEXT = 64;

/** Characters of a regular expression that is a literal. */
export const MAX_PATTERN_TEXT = 1_024;

/** Characters of a regular expression that is not: it may come from a request. */
export const MAX_MADE_PATTERN_TEXT = 128;

/**
 * Characters of a regular expression times its counted repetitions: compiling makes the copies before their number is
 * known, at up to a microsecond each.
 */
export const MAX_PATTERN_COPIES = 50_000;

/** Instructions of a compiled regular expression: the time of a match is this times the length of the text. */
export const MAX_PATTERN_INSTRUCTIONS = 2_000;

/** Steps of a regular expression (instructions times characters) that one unit of work pays for. */
export const PATTERN_STEPS_PER_WORK = 64;

/** Compiled regular expressions that are not literals, kept for each condition. */
export const PATTERN_CACHE_SIZE = 16;

/** Work of reading a part of a time in a time zone, which formats and parses the whole of it. */
export const TIME_ZONE_WORK = 200;

/** Work of compiling a regular expression that is not a literal, for each of its characters: some tables are large. */
export const COMPILE_WORK_PER_CHARACTER = 50;

/** The same for each copy of a character that a counted repetition makes. */
export const COMPILE_WORK_PER_COPY = 10;
