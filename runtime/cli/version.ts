import { SDK_VERSION } from "@policy-engine/sdk";
import { Command } from "commander";
import { type CliContext, EXIT, type Finish, toJson } from "./cli-context.ts";

/** `version`: what this executable was built from. */
export function versionCommand(context: CliContext, finish: Finish): Command {
  return new Command("version")
    .description("print what this executable was built from")
    .option("--json", "print JSON")
    .action(({ json = false }: { json?: boolean }) => {
      context.io.out(json ? toJson(facts(context)) : text(context));
      finish(EXIT.ok);
    });
}

function facts({ build, policies }: CliContext): Record<string, unknown> {
  return {
    ...build,
    // Of this run, beside what the builder wrote.
    runtime: { bun: Bun.version, sdk: SDK_VERSION, platform: process.platform, arch: process.arch },
    policies: policies.length,
  };
}

function text({ build, policies }: CliContext): string {
  return [
    `policy-engine ${build.version}`,
    `  commit    ${build.gitCommit}`,
    `  built     ${build.builtAt} by policy-builder ${build.builderVersion}`,
    `  SDK       ${SDK_VERSION}`,
    `  Bun       ${Bun.version} (${process.platform}-${process.arch})`,
    `  policies  ${policies.length}`,
    "",
  ].join("\n");
}
