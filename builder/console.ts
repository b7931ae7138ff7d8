import { formatProblem } from "../runtime/document/problem.ts";
import { type BuildProblem, PHASES, type Phase } from "./phase.ts";
import type { BuildReport, PhaseReport } from "./report.ts";
import { counted } from "./text.ts";

/** Where the builder's words go. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether a person watches: colours only then. */
  readonly colours: boolean;
  readonly cwd: string;
  readonly signal: AbortSignal;
}

/** Problems that are shown to a person; `--json` has more. */
const MAX_SHOWN = 200;

const COLOURS = { green: "\u001b[32m", red: "\u001b[31m", yellow: "\u001b[33m", bold: "\u001b[1m" } as const;

/** Writes lines for people, through `write`. */
export class Console {
  readonly #write: (text: string) => void;
  readonly #colours: boolean;

  constructor(write: (text: string) => void, colours: boolean) {
    this.#write = write;
    this.#colours = colours;
  }

  line(text: string): void {
    this.#write(`${text}\n`);
  }

  phase(phase: Phase, report: PhaseReport | undefined): void {
    const title = `[${PHASES.indexOf(phase) + 1}/${PHASES.length}] ${phase}`;
    if (report === undefined) {
      this.line(this.#paint("bold", title));
      return;
    }
    const mark = report.ok ? this.#paint("green", "ok") : this.#paint("red", "failed");
    const summary = report.ok ? `: ${report.summary}` : "";
    this.line(`  ${mark}${summary} (${report.durationMs} ms)`);
  }

  problems(problems: readonly BuildProblem[]): void {
    for (const problem of problems.slice(0, MAX_SHOWN)) {
      const colour = problem.severity === "error" ? "red" : "yellow";
      const text = formatProblem(problem);
      this.line(text.replace(`: ${problem.severity}: `, `: ${this.#paint(colour, problem.severity)}: `));
    }
    const more = problems.length - MAX_SHOWN;
    if (more > 0) this.line(`and ${counted(more, "more problem")}; --json lists them`);
  }

  report(report: BuildReport): void {
    this.problems(report.problems);
    if (!report.ok) {
      this.line(`${this.#paint("red", "error")}: ${report.error}`);
      return;
    }
    for (const { name, version } of report.policies) this.line(`  ${name}:${version}`);
    this.line(
      this.#paint("green", `Built an engine with ${counted(report.policies.length, "policy", "policies")}`),
    );
  }

  #paint(colour: keyof typeof COLOURS, text: string): string {
    return this.#colours ? `${COLOURS[colour]}${text}\u001b[0m` : text;
  }
}
