// The builder's program; bin/policy-builder.mjs starts it with the Bun of this repository.
import { constants } from "node:os";
import { runCli } from "./cli.ts";
import { messageOf } from "./text.ts";

const stop = new AbortController();
let received: NodeJS.Signals | undefined;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => {
    received ??= name;
    stop.abort();
  });
}

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    return await runCli(process.argv.slice(2), {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
      colours: process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb",
      cwd: process.cwd(),
      signal: stop.signal,
    });
  } catch (error) {
    if (received !== undefined) {
      process.stderr.write(`Stopped by ${received}; nothing was built\n`);
      return 128 + constants.signals[received];
    }
    process.stderr.write(`policy-builder failed: ${messageOf(error)}\n`);
    return 1;
  }
}
