/** One thing wrong with something a person wrote, and where. All problems of an input are reported at once. */
export interface Problem {
  /** Errors refuse the thing they are about; warnings do not. */
  readonly severity: "error" | "warning";
  /** The file as the user named it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** JSON pointer (RFC 6901) of the value; empty for the whole document. */
  readonly pointer: string;
  /** What is wrong: sentence case, no full stop. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** The name of a warning, which stays the same when its message is worded anew. */
  readonly code?: string;
}

/** Orders problems by file, line and column, then by message. */
export function compareProblems(a: Problem, b: Problem): number {
  return (
    compareText(a.file, b.file) || a.line - b.line || a.column - b.column || compareText(a.message, b.message)
  );
}

/** One problem as `file:line:column: error: message (pointer) [code]`, with its hint on a second line. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, severity, message, pointer, hint, code } = problem;
  const where = pointer === "" ? "" : ` (${pointer})`;
  const name = code === undefined ? "" : ` [${code}]`;
  const advice = hint === undefined ? "" : `\n  hint: ${hint}`;
  return `${file}:${line}:${column}: ${severity}: ${message}${where}${name}${advice}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
