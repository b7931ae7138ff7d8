import { dirname, join } from "node:path";
import { OUTPUT_BYTES } from "./limits.ts";

export interface RunOptions {
  readonly cwd: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface RunResult {
  /** -1 when it was ended: too slow, or too much output. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Each of them would change what a child of Bun runs or reads. */
const DROPPED = ["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT", "BUN_INSPECT_PRELOAD", "NODE_OPTIONS"];

/** The arguments that start Bun without any configuration but ours. */
export function bunCommand(...args: readonly string[]): string[] {
  const config = join(dirname(import.meta.path), "bunfig.toml");
  return [process.execPath, `--config=${config}`, "--no-env-file", ...args];
}

/** Runs a program to its end, with no input. Rejects when the signal aborts. */
export async function run(command: readonly string[], options: RunOptions): Promise<RunResult> {
  options.signal.throwIfAborted();
  const env: Record<string, string | undefined> = { ...process.env, NO_COLOR: "1" };
  for (const name of DROPPED) delete env[name];
  delete env.FORCE_COLOR;
  const child = Bun.spawn([...command], {
    cwd: options.cwd,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: options.timeoutMs,
    maxBuffer: OUTPUT_BYTES,
    killSignal: "SIGKILL",
    signal: options.signal,
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  options.signal.throwIfAborted();
  return { code: child.exitCode ?? -1, stdout, stderr };
}
