// From the text of a CEL expression to something that is checked, bounded, and the same for every exchange.
import { type CelError, describeError, evaluationFailure, excerpt, type Purpose } from "./cel-error.ts";
import { type Closure, compileClosures } from "./closures.ts";
import { checker } from "./environment.ts";
import { Fault } from "./fault.ts";
import { MAX_SOURCE_BYTES } from "./limits.ts";
import { Meter } from "./meter.ts";
import { asNode } from "./node.ts";
import { PatternCache } from "./pattern.ts";
import { type ConditionReads, Survey } from "./survey.ts";
import { type ConditionInput, Variables } from "./variables.ts";

/** Told whatever else went wrong: `exists` may have met another fault first. */
const TOO_MUCH_WORK = new Fault("too_much_work");

/** A compiled expression. */
export interface Program {
  readonly source: string;
  readonly reads: ConditionReads;
  /** Of its value, as the checker knows it: `bool`, `list<string>`, `dyn`. */
  readonly type: string;
  /**
   * Its value, once `take` has made something of it. What `take` does is part of the work that is bounded.
   * @throws {CelError} If it has none: a missing key, a wrong type, too much work.
   */
  evaluate<T>(input: ConditionInput, take: (value: unknown, meter: Meter) => T): T;
}

/** What compiling came to: a program, or all that is wrong with the source. */
export interface Compiled {
  readonly program?: Program;
  /** Begins every problem that is found later on. */
  readonly subject: string;
  readonly problems: string[];
}

/** Compiles an expression, or tells all that is wrong with it. Never throws. */
export function compileProgram(source: unknown, purpose: Purpose): Compiled {
  const nameless = `Cannot compile ${purpose}`;
  if (typeof source !== "string" || source.trim() === "") {
    const message = `${nameless}: it is no text, a CEL expression is needed`;
    return { subject: nameless, problems: [message] };
  }
  if (source.length > MAX_SOURCE_BYTES || Buffer.byteLength(source) > MAX_SOURCE_BYTES) {
    const message = `${nameless}: it is too long, at most ${MAX_SOURCE_BYTES} bytes are allowed`;
    return { subject: nameless, problems: [message] };
  }
  const subject = `${nameless} ${excerpt(source)}`;
  try {
    return compile(source, { subject, purpose });
  } catch (error) {
    return { subject, problems: [`${subject}: ${describeError(error)}`] };
  }
}

function compile(source: string, { subject, purpose }: { subject: string; purpose: Purpose }): Compiled {
  const parsed = checker().environment.parse(source);
  const root = asNode(parsed.ast);
  const survey = new Survey(root);
  if (survey.findings.length > 0) {
    const sorted = survey.findings.toSorted((a, b) => a.at - b.at);
    const problems = sorted.map(
      ({ at, message, needed }) => `${subject}: ${message} at character ${at + 1}, ${needed}`,
    );
    return { subject, problems: [...new Set(problems)] };
  }
  const checked = parsed.check();
  if (!checked.valid) return { subject, problems: [`${subject}: ${describeError(checked.error)}`] };
  const meter = new Meter();
  const run = compileClosures(root, { meter, patterns: new PatternCache() });
  const fail = (error: unknown): CelError => evaluationFailure({ purpose, source }, error);
  const program: Program = {
    source,
    reads: survey.reads,
    type: checked.type ?? "dyn",
    evaluate: (input, take) => evaluate(run, { input, take, meter, fail }),
  };
  return { program, subject, problems: [] };
}

interface Evaluation<T> {
  readonly input: ConditionInput;
  readonly take: (value: unknown, meter: Meter) => T;
  readonly meter: Meter;
  readonly fail: (error: unknown) => CelError;
}

function evaluate<T>(run: Closure, { input, take, meter, fail }: Evaluation<T>): T {
  meter.restart();
  let result: T;
  try {
    result = take(run(new Variables(input)), meter);
  } catch (error) {
    throw fail(meter.exhausted ? TOO_MUCH_WORK : error);
  }
  if (meter.exhausted) throw fail(TOO_MUCH_WORK);
  return result;
}
