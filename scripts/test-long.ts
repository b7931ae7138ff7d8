/**
 * Runs the model with many more exchanges than `make test` does, random expressions and a fuzzed transport, then large
 * and waiting bodies, then the soak, then every test through Envoy over a Unix socket and over mutual TLS.
 */
import { resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "..");
const TIMEOUT_MS = 3_600_000;
/** Those of the whole: the first ones also run in `make test`, with less work. */
const LONG = [
  "./test/integration/kernel-model.test.ts",
  "./test/transport/fuzz.test.ts",
  "./test/conformance/reference.test.ts",
  "./test/long/bodies.long.ts",
  "./test/long/soak.long.ts",
];
const WORK = {
  MODEL_EXCHANGES: "200000",
  CEL_EXPRESSIONS: "100000",
  /** Together ten million. */
  FUZZ_HPACK: "8000000",
  FUZZ_CONNECTIONS: "2000000",
  FUZZ_WELL_BEHAVED: "50000",
};
/** What Envoy reaches the engine over, beside TCP, which `make test` has. */
const LINKS = ["unix", "mutual-tls"];

async function run(files: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const child = Bun.spawn([process.execPath, "test", `--timeout=${TIMEOUT_MS}`, ...files], {
    cwd: PROJECT,
    env: { ...env, ...process.env },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  return await child.exited;
}

const codes = [await run(LONG, WORK)];
for (const link of LINKS) codes.push(await run(["./test/e2e/"], { POLICY_ENGINE_TEST_LINK: link }));
process.exitCode = Math.max(...codes);
