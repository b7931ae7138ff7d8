import { TypeError as CheckError, EvaluationError, ParseError, type ParseResult } from "@marcbachmann/cel-js";
import { applyBounds } from "./bounds.ts";
import { environment } from "./environment.ts";
import { MAX_SOURCE_BYTES } from "./limits.ts";
import { Meter } from "./meter.ts";
import { asNode } from "./node.ts";
import { type ConditionReads, Survey } from "./survey.ts";
import { type ConditionInput, Variables } from "./variables.ts";

export type { ConditionReads } from "./survey.ts";
export type { ConditionInput } from "./variables.ts";

/** A CEL expression that decides whether a policy runs: checked, bounded, and the same for every exchange. */
export interface Condition {
  readonly source: string;
  readonly reads: ConditionReads;
  /**
   * @throws {ConditionError} If it cannot be decided: a missing key, a wrong type, too much work. The message
   * quotes nothing of the exchange.
   */
  evaluate(input: ConditionInput): boolean;
}

/** Why a condition could not be decided for an exchange. */
export class ConditionError extends Error {
  override readonly name = "ConditionError";
  /** Such as `no_such_key`, for logs and metrics. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Compiles a condition, or tells all that is wrong with it. Never throws. */
export function compileCondition(source: unknown): { condition?: Condition; problems: string[] } {
  if (typeof source !== "string" || source.trim() === "") {
    return { problems: ["Cannot compile condition: it is no text, a CEL expression is needed"] };
  }
  if (source.length > MAX_SOURCE_BYTES || Buffer.byteLength(source) > MAX_SOURCE_BYTES) {
    const message = `Cannot compile condition: it is too long, at most ${MAX_SOURCE_BYTES} bytes are allowed`;
    return { problems: [message] };
  }
  const subject = `Cannot compile condition ${excerpt(source)}`;
  try {
    return compile(source, subject);
  } catch (error) {
    return { problems: [`${subject}: ${describe(error)}`] };
  }
}

function compile(source: string, subject: string): { condition?: Condition; problems: string[] } {
  const program = environment.parse(source);
  const root = asNode(program.ast);
  const survey = new Survey(root);
  if (survey.findings.length > 0) {
    const sorted = survey.findings.toSorted((a, b) => a.at - b.at);
    const problems = sorted.map(
      ({ at, message, needed }) => `${subject}: ${message} at character ${at + 1}, ${needed}`,
    );
    return { problems: [...new Set(problems)] };
  }
  const checked = program.check();
  if (!checked.valid) return { problems: [`${subject}: ${describe(checked.error)}`] };
  if (checked.type !== "bool") {
    const needed = 'a bool is needed, as a comparison such as "== true" gives';
    return { problems: [`${subject}: its value is of type ${checked.type}, ${needed}`] };
  }
  if (root.maybeAsync) {
    return { problems: [`${subject}: it calls an asynchronous function, synchronous ones are needed`] };
  }
  const meter = new Meter();
  applyBounds(root, meter);
  const { reads } = survey;
  return {
    condition: { source, reads, evaluate: (input) => evaluate(program, meter, { input, subject: source }) },
    problems: [],
  };
}

function evaluate(
  program: ParseResult,
  meter: Meter,
  of: { readonly input: ConditionInput; readonly subject: string },
): boolean {
  meter.restart();
  const variables = new Variables(of.input);
  let result: unknown;
  try {
    result = program(variables);
  } catch (error) {
    throw failure(of.subject, error);
  } finally {
    variables.release();
  }
  if (meter.exhausted) throw failure(of.subject, new EvaluationError({ code: "too_much_work" }));
  if (typeof result !== "boolean") throw failure(of.subject, new EvaluationError({ code: "not_a_bool" }));
  return result;
}

/** In words of our own: what cel-js says may quote values, which may be secrets. */
function failure(source: string, error: unknown): ConditionError {
  const known = error instanceof EvaluationError || error instanceof CheckError;
  const code = known ? error.code : error instanceof RangeError ? "out_of_range" : "internal_error";
  const message = `Cannot evaluate condition ${excerpt(source)}: ${code.replaceAll("_", " ")}`;
  return new ConditionError(code, `${message}${known ? place(error.range) : ""}`);
}

function describe(error: unknown): string {
  if (error instanceof ParseError || error instanceof CheckError || error instanceof EvaluationError) {
    return `${plain(error.summary)}${place(error.range)}`;
  }
  // The parser and the checker recurse.
  return error instanceof RangeError ? "it is nested too deeply" : "it is not a valid expression";
}

function place(range: { readonly start: number } | undefined): string {
  return range === undefined ? "" : ` at character ${range.start + 1}`;
}

function excerpt(source: string): string {
  return JSON.stringify(source.length > 60 ? `${source.slice(0, 60)}…` : source);
}

/** One line, of a length to read. */
function plain(text: string): string {
  const line = text.replaceAll(/\p{C}+/gu, " ");
  const short = line.length > 200 ? `${line.slice(0, 200)}…` : line;
  return short.slice(0, 1).toLowerCase() + short.slice(1);
}
