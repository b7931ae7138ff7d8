import { Command } from "commander";
import type { PolicyListing } from "../policy/registry.ts";
import { type CliContext, EXIT, type Finish, paint, toJson } from "./cli-context.ts";
import { loadRegistry } from "./load-registry.ts";

/**
 * `policies`: the policy versions in this executable. One that cannot be used is listed with the reason; listing it
 * is no failure of the list, so the exit code is 0.
 */
export function policiesCommand(context: CliContext, finish: Finish): Command {
  return new Command("policies")
    .description("list the policy versions in this executable")
    .option("--json", 'print JSON: {"policies": [...]}')
    .action(async ({ json = false }: { json?: boolean }) => {
      const { io } = context;
      const policies = (await loadRegistry(context)).list();
      io.out(json ? toJson({ policies }) : table(policies, io));
      finish(EXIT.ok);
    });
}

function table(policies: readonly PolicyListing[], style: { colours: boolean }): string {
  if (policies.length === 0) return "No policies were compiled into this executable\n";
  const name = Math.max(...policies.map((policy) => policy.name.length));
  const version = Math.max(...policies.map((policy) => policy.version.length));
  return policies
    .map((policy) => {
      const head = `${policy.name.padEnd(name)}  ${policy.version.padEnd(version)}`;
      if (policy.error !== undefined)
        return `${head}  ${paint(`broken: ${oneLine(policy.error)}`, "red", style)}\n`;
      const phases = policy.phases.length === 0 ? "" : `  (${policy.phases.join(", ")})`;
      return `${paint(head, "bold", style)}  ${oneLine(policy.description)}${phases}\n`;
    })
    .join("");
}

/** An author's text as one line that cannot drive the terminal. */
function oneLine(text: string): string {
  return text.replaceAll(/[\s\p{Cc}]+/gu, " ").trim();
}
