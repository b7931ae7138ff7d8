import type { EngineLogger } from "../observability/log.ts";
import type { ApplyReport } from "./apply-report.ts";

/** Writes one line for a change of the routes, and one for each of its problems. */
export function logReport(report: ApplyReport, log: EngineLogger): void {
  for (const { severity, file, line, column, pointer, message, hint } of report.problems) {
    const fields = hint === undefined ? { pointer } : { pointer, hint };
    log[severity === "error" ? "error" : "warn"](`${file}:${line}:${column}: ${message}`, fields);
  }
  const { result, snapshot, routes, problemCount } = report;
  const fields = { result, snapshot, ...routes, problems: problemCount };
  if (result === "applied") log.info("Applied configuration", fields);
  else if (result === "unchanged") log.info("Configuration is unchanged", fields);
  else if (result === "partial") log.warn("Applied configuration except for routes with problems", fields);
  else if (snapshot === undefined) log.error("Rejected configuration: there is none to serve", fields);
  else log.error("Rejected configuration: the last good one stays", fields);
}
