import type { Problem } from "../document/problem.ts";
import type { EngineLogger } from "../observability/log.ts";
import type { ApplyReport } from "./apply-report.ts";

/** Writes one line for each problem. */
export function logProblems(problems: readonly Problem[], log: EngineLogger): void {
  for (const { severity, file, line, column, pointer, message, hint, code } of problems) {
    const fields = { pointer, ...(hint !== undefined && { hint }), ...(code !== undefined && { code }) };
    log[severity === "error" ? "error" : "warn"](`${file}:${line}:${column}: ${message}`, fields);
  }
}

/** Writes one line for a change of the routes, and one for each of its problems. */
export function logReport(report: ApplyReport, log: EngineLogger): void {
  logProblems(report.problems, log);
  const { result, snapshot, routes, problemCount } = report;
  const fields = { result, snapshot, ...routes, problems: problemCount };
  if (result === "applied") log.info("Applied configuration", fields);
  else if (result === "unchanged") log.info("Configuration is unchanged", fields);
  else if (result === "partial") log.warn("Applied configuration except for routes with problems", fields);
  else if (snapshot === undefined) log.error("Rejected configuration: there is none to serve", fields);
  else log.error("Rejected configuration: the last good one stays", fields);
}
