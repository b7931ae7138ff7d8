import { Command } from "commander";
import { ConfigurationError } from "../config/configuration-error.ts";
import { loadEngineConfig } from "../config/load-engine-config.ts";
import { logProblems } from "../config/report-log.ts";
import { type Engine, startEngine } from "../engine.ts";
import { StartError } from "../listen-error.ts";
import { createEngineMetrics } from "../observability/engine-metrics.ts";
import { createLogger, type EngineLogger } from "../observability/log.ts";
import { type CliContext, type CliIo, EXIT, type Finish } from "./cli-context.ts";
import { printProblems } from "./print-problems.ts";
import { StrayErrors } from "./stray-errors.ts";
import { tlsProblems } from "./tls-problems.ts";

/** What a shell expects of a program that a signal ended. */
const SIGNAL_EXIT = { SIGINT: 130, SIGTERM: 143 } as const;
type EndSignal = keyof typeof SIGNAL_EXIT;

/** `serve`: the engine itself, until a signal ends it. */
export function serveCommand(context: CliContext, finish: Finish): Command {
  return new Command("serve")
    .description("serve Envoy (the default command)")
    .requiredOption("-c, --config <file>", "the engine's configuration, policy-engine.yaml")
    .addHelpText(
      "after",
      `
Signals:
  SIGTERM, SIGINT  let streams in flight finish, then end; the second one ends at once
  SIGHUP           read the routes and the certificates again`,
    )
    .action(async ({ config }: { config: string }) => finish(await serve(config, context)));
}

async function serve(path: string, { policies, build, io }: CliContext): Promise<number> {
  const loaded = loadEngineConfig(path);
  const { config } = loaded;
  const problems = [...loaded.problems, ...(await tlsProblems(loaded))];
  if (config === undefined || problems.some(({ severity }) => severity === "error")) {
    printProblems(problems, io);
    return EXIT.cannotStart;
  }
  const { level, format } = config.log;
  const automatic = io.terminal === true ? "text" : "json";
  const log = createLogger({ level, format: format === "auto" ? automatic : format, write: io.out });
  logProblems(problems, log);
  const metrics = createEngineMetrics();
  const signals = new ProcessEvents(log, new StrayErrors(policies, { log, metrics }));
  try {
    const engine = await startEngine(config, { policies, build, log, metrics, signal: signals.ending });
    signals.onReload(engine);
    return await untilEnded(engine, signals);
  } catch (error) {
    if (signals.ending.aborted) return EXIT.ok;
    return cannotStart(error, { log, io });
  } finally {
    signals.forget();
    log.flush();
  }
}

/** One message for those who read the log, one for those who started the program. */
function cannotStart(error: unknown, { log, io }: { log: EngineLogger; io: CliIo }): number {
  if (error instanceof ConfigurationError) {
    // The log has them already.
    printProblems(error.problems, io);
    return EXIT.cannotStart;
  }
  if (!(error instanceof StartError)) throw error;
  log.error(error.message);
  io.err(`policy-engine: ${error.message}\n`);
  return EXIT.cannotStart;
}

/** Stops the engine on the first signal; a second one does not wait for that. */
async function untilEnded(engine: Engine, signals: ProcessEvents): Promise<number> {
  await signals.first;
  const stopped = engine.stop().then(() => EXIT.ok);
  return await Promise.race([stopped, signals.second]);
}

/** The signals and the stray errors of the process, while it serves. */
class ProcessEvents {
  readonly first: Promise<void>;
  /** The exit code that the second signal asks for. */
  readonly second: Promise<number>;
  readonly #ending = new AbortController();
  readonly #forget: (() => void)[] = [];

  constructor(log: EngineLogger, strays: StrayErrors) {
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<number>();
    this.first = first.promise;
    this.second = second.promise;
    for (const signal of Object.keys(SIGNAL_EXIT) as EndSignal[]) {
      this.#on(signal, () => {
        if (this.#ending.signal.aborted) {
          log.warn("Ending at once", { signal });
          second.resolve(SIGNAL_EXIT[signal]);
          return;
        }
        log.info("Stopping", { signal });
        this.#ending.abort();
        first.resolve();
      });
    }
    this.#on("uncaughtException", (error) => strays.note("exception", error));
    this.#on("unhandledRejection", (error) => strays.note("rejection", error));
    // The default would end the process; before there is an engine there is nothing to read again.
    this.#on("SIGHUP", () => this.#reload?.());
  }

  /** Aborted by the first signal. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  #reload: (() => void) | undefined;

  onReload(engine: Engine): void {
    this.#reload = () => void engine.reload();
  }

  forget(): void {
    for (const forget of this.#forget.splice(0)) forget();
  }

  #on(event: string, handle: (value: unknown) => void): void {
    process.on(event, handle);
    this.#forget.push(() => process.off(event, handle));
  }
}
