import { TypeError as CheckError, EvaluationError, ParseError } from "@marcbachmann/cel-js";
import { Fault } from "./fault.ts";

/** What an expression is for, as messages call it. */
export type Purpose = "condition" | "expression";

/** Why an expression could not be evaluated for an exchange. The message quotes nothing of the exchange. */
export class CelError extends Error {
  override readonly name = "CelError";
  /** Such as `no_such_key`, for logs and metrics. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** In words of our own: what was thrown may quote values, which may be secrets. */
export function evaluationFailure(what: { purpose: Purpose; source: string }, error: unknown): CelError {
  const fault = error instanceof Fault ? error : undefined;
  const code = fault?.code ?? (error instanceof RangeError ? "out_of_range" : "internal_error");
  const message = `Cannot evaluate ${what.purpose} ${excerpt(what.source)}: ${code.replaceAll("_", " ")}`;
  return new CelError(code, `${message}${place(fault?.at)}`);
}

/** Why a source does not compile. */
export function describeError(error: unknown): string {
  if (error instanceof ParseError || error instanceof CheckError || error instanceof EvaluationError) {
    return `${plain(error.summary)}${place(error.range?.start)}`;
  }
  if (error instanceof Fault) return `${error.code.replaceAll("_", " ")}${place(error.at)}`;
  // The parser and the checker recurse.
  return error instanceof RangeError ? "it is nested too deeply" : "it is not a valid expression";
}

/** The beginning of a source, for a message. */
export function excerpt(source: string): string {
  return JSON.stringify(source.length > 60 ? `${source.slice(0, 60)}…` : source);
}

function place(at: number | undefined): string {
  return at === undefined ? "" : ` at character ${at + 1}`;
}

/** One line, of a length to read. */
function plain(text: string): string {
  const line = text.replaceAll(/\p{C}+/gu, " ");
  const short = line.length > 200 ? `${line.slice(0, 200)}…` : line;
  return short.slice(0, 1).toLowerCase() + short.slice(1);
}
