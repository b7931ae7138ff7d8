#!/usr/bin/env node
// Starts the builder with the Bun that this repository pins, whatever else is installed. Plain Node 20.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// Without its install script the package has a placeholder of some hundred bytes in the place of Bun.
const SMALLEST_BUN_BYTES = 1_000_000;
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"];
// Each of them would change what Bun runs or reads.
const DROPPED = ["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT", "BUN_INSPECT_PRELOAD", "NODE_OPTIONS"];

const builder = dirname(dirname(fileURLToPath(import.meta.url)));
const bun = findBun();
if (bun === undefined) {
  console.error(
    "Cannot start policy-builder: its Bun is not installed, the packages of policy-engine are needed",
  );
  console.error('  hint: run "npm ci" in the folder of policy-engine');
  process.exit(2);
}

const env = { ...process.env };
for (const name of DROPPED) delete env[name];
const settings = [
  `--config=${join(builder, "bunfig.toml")}`,
  `--tsconfig-override=${join(builder, "..", "tsconfig.json")}`,
  "--no-env-file",
  "--no-install",
  "--no-macros",
];
const child = spawn(bun, [...settings, join(builder, "main.ts"), ...process.argv.slice(2)], {
  stdio: "inherit",
  env,
});
const forward = (signal) => child.kill(signal);
for (const signal of FORWARDED) process.on(signal, forward);
child.on("error", (error) => {
  console.error(`Cannot start policy-builder: ${error.message}`);
  process.exit(2);
});
child.on("exit", (code, signal) => {
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});

function findBun() {
  const require = createRequire(import.meta.url);
  for (const name of [
    "bun",
    `@oven/bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`,
  ]) {
    try {
      const manifest = require.resolve(`${name}/package.json`);
      const { bin } = JSON.parse(readFileSync(manifest, "utf8"));
      const file = join(dirname(manifest), bin?.bun ?? "bin/bun");
      if (existsSync(file) && statSync(file).size >= SMALLEST_BUN_BYTES) return file;
    } catch {
      // Not installed: the next place.
    }
  }
  return undefined;
}
