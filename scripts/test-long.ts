/**
 * Runs the model with many more exchanges than `make test` does, and random expressions, then large and waiting bodies,
 * then the soak.
 */
import { resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "..");
const TIMEOUT_MS = 3_600_000;
const MODEL_EXCHANGES = "200000";
/** Together ten million. */
const FUZZ = { FUZZ_HPACK: "8000000", FUZZ_CONNECTIONS: "2000000", FUZZ_WELL_BEHAVED: "50000" };
const CEL_EXPRESSIONS = "100000";

const child = Bun.spawn(
  [
    ...[process.execPath, "test", `--timeout=${TIMEOUT_MS}`],
    ...[
      "./test/integration/kernel-model.test.ts",
      "./test/transport/fuzz.test.ts",
      "./test/conformance/reference.test.ts",
    ],
    ...["./test/long/bodies.long.ts", "./test/long/soak.long.ts"],
  ],
  {
    cwd: PROJECT,
    env: { MODEL_EXCHANGES, CEL_EXPRESSIONS, ...FUZZ, ...process.env },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  },
);
process.exitCode = await child.exited;
