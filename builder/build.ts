import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { SDK_VERSION } from "@policy-engine/sdk";
import type { BuildInfo } from "../runtime/policy/registry.ts";
import { compile } from "./compile.ts";
import { discover, type Selection } from "./discover.ts";
import { generate } from "./generate.ts";
import { isInside } from "./imports.ts";
import { OUTPUT, OutputFolder } from "./output-folder.ts";
import { definitionPath, packageTexts } from "./package-build.ts";
import { type BuildProblem, fileProblem, type Phase, PhaseFailure } from "./phase.ts";
import { builderVersion, type GeneratedBy } from "./registry-source.ts";
import { type BuildReport, detailsOf, orderProblems, type PhaseReport } from "./report.ts";
import { counted, messageOf, quoted, shownPath } from "./text.ts";
import { validate } from "./validate.ts";
import { ENGINE_DIR, Workspace } from "./workspace.ts";

export interface BuildOptions extends Selection {
  /** The folder for the executable and what goes with it; made when it is not there. */
  readonly output: string;
  /** The folder that relative paths start from and problems are shown from. */
  readonly cwd: string;
  /** Told of each phase: when it begins, and when it ended. */
  readonly onPhase?: (phase: Phase, report?: PhaseReport) => void;
  /** Told the exact commands. */
  readonly onCommand?: (line: string) => void;
  readonly signal?: AbortSignal;
  /** The folder to make the work folder in. Default: the system's folder for temporary files. */
  readonly workDir?: string | undefined;
  /** Leaves the work folder there. Default: false. */
  readonly keepWorkDir?: boolean | undefined;
  /** Flags for `bun build`, checked by {@link refuseBuildFlag}. */
  readonly flags?: readonly string[] | undefined;
  /** Default: `dev`. */
  readonly version?: string | undefined;
  /** Default: `unknown`. */
  readonly gitCommit?: string | undefined;
  /** Default: now. */
  readonly builtAt?: Date | undefined;
  /** The folder of the engine's code. Default: the one that came with the builder. */
  readonly runtime?: string | undefined;
}

/**
 * Builds an executable from policies. What is wrong with the input is in the report; rejects only when the signal
 * aborts. Whatever happens, either all files of a build are in the output folder or none.
 */
export async function build(options: BuildOptions): Promise<BuildReport> {
  return new Build(options).run();
}

class Build {
  readonly #options: BuildOptions;
  readonly #signal: AbortSignal;
  readonly #phases: PhaseReport[] = [];
  readonly #warnings: BuildProblem[] = [];
  readonly #output: OutputFolder;
  #phase: Phase = "discovery";

  constructor(options: BuildOptions) {
    this.#options = options;
    this.#signal = options.signal ?? new AbortController().signal;
    this.#output = new OutputFolder(resolve(options.cwd, options.output));
  }

  async run(): Promise<BuildReport> {
    const { workDir, keepWorkDir = false, cwd, runtime = join(ENGINE_DIR, "runtime") } = this.#options;
    let workspace: Workspace | undefined;
    try {
      await this.#output.clear();
      workspace = await Workspace.create({ parent: workDir, keep: keepWorkDir, cwd, runtime }).catch(
        (error) => {
          const place = workDir === undefined ? "" : ` in ${quoted(workDir)}`;
          throw new PhaseFailure(
            `Policy discovery failed: cannot make a work folder${place}: ${messageOf(error)}`,
          );
        },
      );
      return await this.#build(workspace);
    } catch (error) {
      this.#signal.throwIfAborted();
      return this.#failed(error);
    } finally {
      await workspace?.remove();
    }
  }

  async #build(workspace: Workspace): Promise<BuildReport> {
    const { cwd, output, flags = [], onCommand = ignore } = this.#options;
    const signal = this.#signal;
    const discovery = await this.#step("discovery", async () => {
      const found = await discover(this.#options, cwd);
      this.#warnings.push(...found.warnings);
      this.#keepOutOfPolicies(
        found.policies.map(({ dir, shown }) => ({ dir, shown })),
        workspace,
      );
      return { result: found, summary: `found ${counted(found.policies.length, "policy", "policies")}` };
    });
    const by: GeneratedBy = { builderVersion: builderVersion(), hash: discovery.hash };
    const policies = await this.#step("validation", async () => {
      const valid = await validate(discovery, { workspace, by, signal });
      this.#warnings.push(...valid.warnings);
      return { result: valid.policies, summary: "checked definitions, dependencies, types and imports" };
    });
    const info = this.#info(by);
    await this.#step("generation", async () => {
      const files = await generate(policies, { workspace, by, info });
      return { result: undefined, summary: `wrote ${files.join(", ")}` };
    });
    const compiled = await this.#step("compilation", async () => {
      const result = await compile(policies, { workspace, info, flags, signal, verbose: onCommand });
      this.#warnings.push(...result.warnings);
      return { result, summary: `compiled ${counted(result.modules, "module")} and ran the executable` };
    });
    const { size } = await stat(compiled.binary);
    return this.#step("packaging", async () => {
      const summary = `wrote ${shownPath(join(resolve(cwd, output), OUTPUT.binary), cwd)} (${megabytes(size)}), Dockerfile, definitions, report`;
      const report = (durationMs: number): BuildReport => ({
        ok: true,
        details: [],
        problems: orderProblems(this.#warnings),
        phases: [...this.#phases, { phase: "packaging", ok: true, durationMs, summary }],
        policies: policies.map(({ subject: { name, version, sourcePath, integrity } }) => {
          return { name, version, sourcePath, integrity };
        }),
        build: info,
        artifacts: {
          directory: output,
          binary: OUTPUT.binary,
          binaryBytes: size,
          dockerfile: OUTPUT.dockerfile,
          definitions: policies.map(definitionPath),
          report: OUTPUT.report,
        },
      });
      const started = performance.now();
      const texts = packageTexts(policies, info);
      texts[OUTPUT.report] = `${JSON.stringify(report(0), null, 2)}\n`;
      signal.throwIfAborted();
      await this.#output.fill(compiled.binary, texts);
      return { result: report(Math.round(performance.now() - started)), summary };
    });
  }

  async #step<T>(phase: Phase, work: () => Promise<{ result: T; summary: string }>): Promise<T> {
    this.#phase = phase;
    this.#signal.throwIfAborted();
    this.#options.onPhase?.(phase);
    const started = performance.now();
    const end = (ok: boolean, summary: string): void => {
      const report = { phase, ok, durationMs: Math.round(performance.now() - started), summary };
      this.#phases.push(report);
      this.#options.onPhase?.(phase, report);
    };
    try {
      const { result, summary } = await work();
      end(true, summary);
      return result;
    } catch (error) {
      if (!this.#signal.aborted) end(false, messageOf(error));
      throw error;
    }
  }

  #failed(error: unknown): BuildReport {
    const failure = error instanceof PhaseFailure ? error : undefined;
    const message = failure?.message ?? `The builder failed in the phase ${this.#phase}: ${messageOf(error)}`;
    const problems = orderProblems([...this.#warnings, ...(failure?.problems ?? [])]);
    const phase = message.startsWith("Packaging failed") ? "packaging" : this.#phase;
    return {
      ok: false,
      phase,
      error: message,
      details: detailsOf(problems),
      problems,
      phases: this.#phases,
      policies: [],
    };
  }

  /** Nothing is written into the folder of a policy, whatever was asked for. */
  #keepOutOfPolicies(policies: readonly { dir: string; shown: string }[], workspace: Workspace): void {
    const { cwd, output } = this.#options;
    const problems = policies.flatMap(({ dir, shown }) => {
      const places: [string, string][] = [
        [resolve(cwd, output), `Cannot write to ${quoted(output)}`],
        [workspace.dir, "Cannot work in this folder"],
      ];
      return places
        .filter(([place]) => isInside(place, dir))
        .map(([, message]) =>
          fileProblem(shown, shown, { message: `${message}: it is inside a policy's folder` }),
        );
    });
    if (problems.length > 0)
      throw new PhaseFailure("Policy discovery failed: a folder is in the way", problems);
  }

  #info(by: GeneratedBy): BuildInfo {
    const { version = "dev", gitCommit = "unknown", builtAt = new Date() } = this.#options;
    return {
      version,
      gitCommit,
      builtAt: builtAt.toISOString(),
      builderVersion: by.builderVersion,
      sdkVersion: SDK_VERSION,
      bunVersion: Bun.version,
    };
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function ignore(): void {}
