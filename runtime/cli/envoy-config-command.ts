import { Command, Option } from "commander";
import type { Address } from "../config/address.ts";
import type { EngineConfig } from "../config/engine-config.ts";
import { loadEngineConfig } from "../config/load-engine-config.ts";
import { RouteFiles } from "../config/route-files.ts";
import { type CliContext, EXIT, type Finish } from "./cli-context.ts";
import { renderEnvoyConfig } from "./envoy-config.ts";
import { type EnvoyTlsFlags, findEngineTls } from "./envoy-tls.ts";
import { printProblems } from "./print-problems.ts";

interface EnvoyConfigFlags extends EnvoyTlsFlags {
  readonly config: string;
  readonly listen: string;
  readonly upstream: string;
  readonly admin: string;
  readonly extProc?: string;
  readonly route?: readonly string[];
  readonly base: "wide" | "narrow";
}

/** `envoy-config`: a complete Envoy configuration for the engine's own. */
export function envoyConfigCommand(context: CliContext, finish: Finish): Command {
  return new Command("envoy-config")
    .description("print a complete Envoy configuration for this engine")
    .requiredOption("-c, --config <file>", "the engine's configuration, policy-engine.yaml")
    .option("--listen <address>", "where Envoy takes requests", "0.0.0.0:8080")
    .option("--upstream <address>", "where Envoy sends them", "127.0.0.1:8000")
    .option("--admin <address>", "Envoy's own administration interface", "127.0.0.1:9901")
    .option("--ext-proc <address>", "the engine, as Envoy reaches it (default: extProc.address)")
    .option(
      "--route <name>",
      "the key of a route; repeat it for more (default: those of routes.path)",
      collect,
    )
    .option("--tls-ca <file>", "the authority of the engine's certificate, where extProc.tls is set")
    .option("--tls-certificate <file>", "Envoy's own certificate, where the engine asks for one")
    .option("--tls-key <file>", "the private key of that certificate")
    .addOption(
      new Option("--base <base>", "what Envoy sends unless an answer says otherwise")
        .choices(["wide", "narrow"])
        .default("wide"),
    )
    .action(async (flags: EnvoyConfigFlags) => finish(await run(flags, context)));
}

async function run(flags: EnvoyConfigFlags, { io }: CliContext): Promise<number> {
  const loaded = loadEngineConfig(flags.config);
  const { config, problems } = loaded;
  if (config === undefined) {
    printProblems(problems, io);
    return EXIT.problems;
  }
  const { listen, upstream, admin, base } = flags;
  const routes = flags.route ?? (await routeNames(config, io));
  if (routes === undefined) return EXIT.problems;
  try {
    const { tls, problem } = await findEngineTls(loaded, flags);
    if (problem !== undefined) {
      printProblems([problem], io);
      return EXIT.problems;
    }
    const text = renderEnvoyConfig({
      extProc: flags.extProc ?? reachable(config.extProc.address),
      listen,
      upstream,
      admin,
      routes,
      base,
      messageTimeoutMs: config.extProc.messageTimeoutMs,
      bodyBytes: config.limits.bodyBytes,
      ...(tls && { tls }),
      ...(config.routeKey && { metadataNamespace: config.routeKey.metadataNamespace }),
      ...(config.denials.metadataNamespace && { denialsNamespace: config.denials.metadataNamespace }),
    });
    io.out(text);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    io.err(`error: ${error.message}\n`);
    return EXIT.usage;
  }
}

/** The names of all routes, those with errors too; undefined when some cannot be known. */
async function routeNames(
  { routes, limits }: EngineConfig,
  io: CliContext["io"],
): Promise<readonly string[] | undefined> {
  const { sources, problems } = await new RouteFiles(routes.path, limits).read();
  const lost = sources.filter(({ usable }) => !usable);
  if (problems.length === 0 && lost.length === 0) {
    return [...new Set(sources.flatMap(({ entries }) => entries.map(({ route }) => route)))];
  }
  printProblems([...problems, ...lost.flatMap((source) => source.problems)], io);
  return undefined;
}

/** An engine that listens everywhere is reached on loopback: Envoy stands beside it. */
function reachable(address: Address): string {
  if (address.kind === "unix") return address.text;
  if (address.host === "0.0.0.0") return `127.0.0.1:${address.port}`;
  return address.host === "::" ? `[::1]:${address.port}` : address.text;
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
