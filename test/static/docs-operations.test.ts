// Metrics, codes, states and pages in the documents are those of the engine, all of them and nothing else.
import { expect, test } from "bun:test";
import { exitCodeOf, PHASES } from "../../builder/phase.ts";
import { adminPages } from "../../runtime/admin/admin-pages.ts";
import { healthPages } from "../../runtime/admin/health-pages.ts";
import { EXIT } from "../../runtime/cli/cli-context.ts";
import { createEngineMetrics } from "../../runtime/observability/engine-metrics.ts";
import { createLogger } from "../../runtime/observability/log.ts";
import { blocksOf, codesIn, DOCUMENTS, namesIn, tableOf, textOf, unionOf } from "./doc-parts.ts";

const OPERATIONS = "docs/operations.md";
const BUILDER = "docs/builder.md";

/** The exposition after each metric was used once. */
function exposition(): string {
  const metrics = createEngineMetrics();
  metrics.requests("r", "s").inc();
  metrics.requestDuration("r").observe(1);
  metrics.workerHealth.set(1);
  metrics.executions("p", "s").inc();
  metrics.executionDuration("p").observe(1);
  metrics.policyFailures("p", "r").inc();
  metrics.protocolErrors("r").inc();
  metrics.configReloads("applied").inc();
  metrics.strayErrors("exception").inc();
  return metrics.expose();
}

test("every metric is documented with its type and labels, and no other", async () => {
  const text = exposition();
  const found = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => {
    const suffix = type === "histogram" ? "_sum" : "";
    const labels = new RegExp(`^${name}${suffix}(?:\\{(.*)\\})? `, "m").exec(text);
    expect(labels, name).not.toBeNull();
    const names = [...(labels?.[1] ?? "").matchAll(/(\w+)="/g)].map(([, label]) => label).sort();
    return `${name} ${type} ${names.join(",")}`;
  });
  const { rows } = await tableOf(OPERATIONS, "Metrics", "Name");
  const documented = rows.map(([name = "", type, labels = ""]) => {
    return `${codesIn(name)[0]} ${type} ${codesIn(labels).sort().join(",")}`;
  });
  expect(documented.sort()).toEqual(found.sort());
});

test("metrics that documents mention exist", async () => {
  const text = exposition();
  for (const document of DOCUMENTS) {
    for (const [name] of (await textOf(document)).matchAll(/\bpolicy_(?:kernel|worker)_[a-z_]+/g))
      expect(text, document).toContain(`# TYPE ${name} `);
  }
});

test("every reason of a denial is documented, and no other", async () => {
  const reasons = await unionOf("runtime/chain/denial.ts", "ReasonCode");
  expect(reasons).toContain("policy_failed");
  expect(namesIn(await tableOf(OPERATIONS, "Denials", "Reason"))).toEqual(reasons);
});

test("every warning is documented, and no other", async () => {
  const codes = await unionOf("runtime/config/warning.ts", "WarningCode");
  expect(codes).toContain("auth-behind-client-header");
  expect(namesIn(await tableOf(OPERATIONS, "Warnings", "Code"))).toEqual(codes);
});

test("states, results and outcomes are documented", async () => {
  const text = await textOf(OPERATIONS);
  const named = [
    ...(await unionOf("runtime/config/route-record.ts", "RouteStatus")),
    ...(await unionOf("runtime/observability/engine-metrics.ts", "ReloadResult")),
    ...(await unionOf("runtime/observability/engine-metrics.ts", "StrayKind")),
    ...(await unionOf("sdk/context.ts", "Outcome")),
    ...(await unionOf("runtime/admin/health-pages.ts", "Readiness")).filter((state) => state !== "ready"),
  ];
  for (const name of named) expect(text).toContain(`\`${name}\``);
});

test("every page is documented, and no other", async () => {
  const readiness = () => "ready" as const;
  const health = Object.keys(healthPages({ readiness, metrics: createEngineMetrics() }));
  expect(namesIn(await tableOf(OPERATIONS, "Health", "Path"))).toEqual(health.sort());
  const nothing = () => {
    throw new Error("No page is asked for");
  };
  const log = createLogger({ level: "info", format: "json", write: nothing });
  const admin = Object.keys(adminPages({ status: nothing, config: nothing, policies: nothing, log }));
  expect(namesIn(await tableOf(OPERATIONS, "Admin", "Path"))).toEqual(admin.sort());
});

test("a log line has the fields of the example", async () => {
  const example = (await blocksOf(OPERATIONS)).find(({ language }) => language === "json");
  let line = "";
  createLogger({ level: "info", format: "json", write: (text) => (line = text) }).info("x");
  expect(Object.keys(JSON.parse(example!.code))).toEqual(Object.keys(JSON.parse(line)));
});

test("exit codes are those of the code", async () => {
  const engine = await tableOf(OPERATIONS, "Command line", "Exit code");
  expect(engine.rows.map(([code]) => Number(code))).toEqual(Object.values(EXIT).sort());
  const builder = await tableOf(BUILDER, "Phases", "Exit code");
  const phases = PHASES.map((phase) => [String(exitCodeOf(phase)), phase]);
  expect(builder.rows.map((row) => row.slice(0, 2))).toEqual(phases);
});
