import { rm } from "node:fs/promises";
import { INSTALL_MS } from "./limits.ts";
import { bunCommand, run } from "./run.ts";

/** Lines of the installer's output that are worth repeating. */
const MAX_LINES = 5;

/**
 * Installs what the lock file in the folder says, exactly that, without running any script of any package.
 * Answers why it could not.
 */
export async function installDependencies(dir: string, signal: AbortSignal): Promise<string | undefined> {
  const command = bunCommand(
    "install",
    "--frozen-lockfile",
    "--ignore-scripts",
    "--omit=dev",
    "--omit=peer",
    "--linker=hoisted",
    "--no-progress",
    "--no-summary",
  );
  const { code, stdout, stderr } = await run(command, { cwd: dir, timeoutMs: INSTALL_MS, signal });
  // The SDK is ours to supply, whatever a package brought along.
  await rm(`${dir}/node_modules/@policy-engine`, { recursive: true, force: true });
  if (code === 0) return undefined;
  if (code < 0) return `it took longer than ${INSTALL_MS / 1000} s`;
  const lines = `${stderr}\n${stdout}`.split("\n").filter((line) => /^(?:error|note): /.test(line));
  const said = lines.slice(0, MAX_LINES).map((line) => line.replace(/^(?:error|note): /, ""));
  return said.length === 0 ? `the installer ended with ${code}` : said.join("; ");
}
