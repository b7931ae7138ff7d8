import { formatProblem, type Problem } from "../document/problem.ts";
import { type CliIo, paint } from "./cli-context.ts";

/** Problems as text, a line each and their hints, in colours where the output wants them. */
export function problemsText(problems: readonly Problem[], style: { colours: boolean }): string {
  return problems.map((problem) => `${inColours(formatProblem(problem), problem, style)}\n`).join("");
}

/** Writes problems to where complaints go. */
export function printProblems(problems: readonly Problem[], io: CliIo): void {
  io.err(problemsText(problems, { colours: false }));
}

function inColours(text: string, { severity }: Problem, style: { colours: boolean }): string {
  const colour = severity === "error" ? "red" : "yellow";
  return text.replace(`: ${severity}: `, () => `: ${paint(severity, colour, style)}: `);
}
