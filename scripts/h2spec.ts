/**
 * Runs h2spec, the conformance test of HTTP/2 servers, in strict mode: `bun scripts/h2spec.ts HOST:PORT`. It is built
 * from source, of the version that test/transport/go-client/go.mod pins.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "..");
const GO_MODULE = join(PROJECT, "test/transport/go-client");
const GO_BIN = join(PROJECT, ".cache/go/bin");
/** For one case in which the server is to say something. */
const CASE_TIMEOUT_SECONDS = 5;

export interface H2specReport {
  readonly cases: number;
  /** Each with its section, its words, and what came instead. */
  readonly failures: readonly string[];
}

/**
 * Builds a Go program of {@link GO_MODULE}, or finds it built.
 * @throws {Error} If there is no Go, or if it does not build.
 */
export async function buildGoProgram(name: string, source: string): Promise<string> {
  const { PATH = "" } = process.env;
  if (Bun.which("go", { PATH }) === null) {
    throw new Error(
      `Cannot build "${name}": "go" is not on PATH, Go 1.26 or later is needed (https://go.dev/dl, or the system's packages)`,
    );
  }
  await mkdir(GO_BIN, { recursive: true });
  const target = join(GO_BIN, name);
  const child = Bun.spawn(["go", "build", "-mod=readonly", "-trimpath", "-o", target, source], {
    cwd: GO_MODULE,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const complaint = (await child.stderr.text()).trim();
  if ((await child.exited) !== 0) throw new Error(`Cannot build "${name}": go build failed\n${complaint}`);
  return target;
}

/** Runs every case against a server of cleartext HTTP/2. */
export async function runH2spec(host: string, port: number): Promise<H2specReport> {
  const program = await buildGoProgram("h2spec", "github.com/summerwind/h2spec/cmd/h2spec");
  const folder = await mkdtemp(join(tmpdir(), "h2spec-"));
  try {
    const report = join(folder, "report.xml");
    const child = Bun.spawn(
      [
        ...[program, "--strict", "--host", host, "--port", String(port)],
        ...["--timeout", String(CASE_TIMEOUT_SECONDS), "--junit-report", report],
      ],
      { stdin: "ignore", stdout: "ignore", stderr: "inherit" },
    );
    await child.exited;
    return readReport(await Bun.file(report).text());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads the JUnit form of a report. */
export function readReport(xml: string): H2specReport {
  const cases = [...xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(.*?)<\/testcase>/gs)];
  const failures = cases.flatMap(([, section = "", words = "", inside = ""]) => {
    const failed = /<(?:failure|error|skipped)[^>]*>(.*?)<\/(?:failure|error|skipped)>|<(skipped)/s.exec(
      inside,
    );
    return failed === null ? [] : [`${section} ${words}: ${(failed[1] ?? failed[2] ?? "").trim()}`];
  });
  return { cases: cases.length, failures };
}

if (import.meta.main) {
  const [host = "127.0.0.1", port = ""] = (process.argv[2] ?? "").split(":");
  const { cases, failures } = await runH2spec(host, Number(port));
  for (const failure of failures) console.log(failure);
  console.log(`${cases - failures.length} of ${cases} cases passed`);
  if (failures.length > 0) process.exitCode = 1;
}
