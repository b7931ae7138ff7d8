/**
 * Compiles the example policies, puts the executable beside a real Envoy with an upstream behind, sends requests
 * through all of it and shows each decision. Fails if any is not the expected one; leaves nothing running.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Child, killAllNow } from "../test/helpers/child.ts";
import { type Stack, startStack } from "../test/helpers/stack.ts";
import { demoSteps, type Step } from "./demo-steps.ts";
import { findEnvoy } from "./fetch-envoy.ts";
import { tableRow, tableRule } from "./table.ts";

const PROJECT = resolve(import.meta.dir, "..");
const DEMO = join(PROJECT, "examples/demo");
/** Whether it is right, request, decision, why; within 128 characters. */
const COLUMNS = [5, 36, 44, 36];
/** The keys of the routes in examples/demo/routes.yaml, which Envoy's routes are named after. */
const ROUTES = ["public", "shop", "orders", "reports"];

async function build(): Promise<string> {
  const builder = join(PROJECT, "node_modules/.bin/policy-builder");
  const child = new Child([
    ...[builder, "build", "--manifest", join(PROJECT, "examples/policy-manifest.yaml")],
    ...["--output", join(PROJECT, "dist")],
  ]);
  if ((await child.exited) !== 0) throw new Error(`Cannot compile the example policies\n${child.output()}`);
  return join(PROJECT, "dist/policy-engine");
}

async function start(): Promise<Stack> {
  await say("Compiling the example policies into dist/policy-engine", build());
  const envoy = await say("Looking for Envoy", findEnvoy());
  console.log(`  Envoy ${envoy.version}`);
  const routes = await readFile(join(DEMO, "routes.yaml"), "utf8");
  const starting = startStack({
    routes,
    executable: join(PROJECT, "dist/policy-engine"),
    envoyRoutes: ROUTES,
  });
  const stack = await say("Starting an upstream, the engine and Envoy", starting);
  stack.upstream.on("/public/news", (request) => ({
    headers: [
      ["x-trail", "upstream"],
      ["x-powered-by", "demo"],
    ],
    body: JSON.stringify(request),
  }));
  return stack;
}

async function say<T>(what: string, work: Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await work;
  console.log(`${what}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return result;
}

function show(step: Step): boolean {
  const right = step.decision === step.expected;
  const decision = right ? step.decision : `${step.decision} (expected: ${step.expected})`;
  console.log(`${tableRow([right ? "ok" : "WRONG", step.request, decision, step.why], COLUMNS)}\n`);
  return right;
}

async function run(signal: AbortSignal): Promise<boolean> {
  const stack = await start();
  try {
    let [count, right] = [0, 0];
    console.log(`\n${tableRow(["", "Request", "Decision", "Why"], COLUMNS)}\n${tableRule(COLUMNS)}`);
    for await (const step of demoSteps(stack, DEMO)) {
      signal.throwIfAborted();
      if (show(step)) right += 1;
      count += 1;
    }
    console.log(`${right} of ${count} decisions as expected`);
    return right === count && count > 0;
  } finally {
    await stack.stop();
  }
}

const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    interrupted.abort();
    // Whatever waits for one of them fails now, and the way out cleans up.
    killAllNow();
  });
}
try {
  if (!(await run(interrupted.signal))) process.exitCode = 1;
} catch (error) {
  console.error(interrupted.signal.aborted ? "Interrupted" : error instanceof Error ? error.message : error);
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
}
