// Nanoseconds of CPU that one evaluation takes. One evaluator and condition a process: `bun bench/cel/conditions.ts EVALUATOR NUMBER`.
import { celEnv, parse, plan } from "@bufbuild/cel";
import { Environment } from "@marcbachmann/cel-js";
import { compileCondition } from "../../runtime/cel/compile-condition.ts";
import type { Step } from "../../runtime/chain/chain.ts";
import { RequestHookContext, ResponseHookContext } from "../../runtime/chain/contexts.ts";
import { median } from "../measure/statistics.ts";
import { CONDITIONS, FACTS, plainVariables, REQUEST, RESPONSE } from "./cases.ts";

/** Each slice is measured for itself; other work on the machine hits some of them. */
const SLICES = 30;
const SLICE_MS = 25;
const WARM_UP_MS = 500;
const BATCH = 1_000;

type Evaluate = () => unknown;

const EVALUATORS: Readonly<Record<string, (source: string) => Evaluate>> = {
  engine,
  "cel-js": celJs,
  "bufbuild-cel": bufbuild,
};

/** As the executor does: a context for each evaluation. */
function engine(source: string): Evaluate {
  const { condition, problems } = compileCondition(source);
  if (condition === undefined) throw new Error(problems.join("\n"));
  const step = { requestBody: "none", responseBody: "none" } as Step;
  if (!condition.reads.response)
    return () => condition.evaluate(new RequestHookContext(FACTS, step, REQUEST));
  const messages = { request: REQUEST, response: RESPONSE, denied: false };
  return () => condition.evaluate(new ResponseHookContext(FACTS, step, messages));
}

/** Without bounds, over maps that are there already. */
function celJs(source: string): Evaluate {
  const environment = new Environment({ unlistedVariablesAreDyn: true });
  const program = environment.parse(source);
  const variables = plainVariables();
  return () => program(variables);
}

function bufbuild(source: string): Evaluate {
  const run = plan(celEnv(), parse(source));
  const variables = plainVariables();
  return () => run(variables as never);
}

function nanosecondsOf(evaluate: Evaluate, milliseconds: number): number {
  const before = process.cpuUsage();
  let evaluations = 0;
  let elapsed = 0;
  while (elapsed < milliseconds) {
    for (let index = 0; index < BATCH; index++) if (evaluate() !== true) throw new Error("It is not true");
    evaluations += BATCH;
    const { user, system } = process.cpuUsage(before);
    elapsed = (user + system) / 1_000;
  }
  return (elapsed * 1_000_000) / evaluations;
}

const [name = "engine", number = "0"] = process.argv.slice(2);
const source = CONDITIONS[Number(number)];
const make = EVALUATORS[name];
if (source === undefined || make === undefined) {
  const names = Object.keys(EVALUATORS).join(", ");
  console.error(
    `Cannot measure ${name} ${number}: one of ${names} and a number below ${CONDITIONS.length} are needed`,
  );
  process.exit(2);
}
const evaluate = make(source);
nanosecondsOf(evaluate, WARM_UP_MS);
const slices = Array.from({ length: SLICES }, () => nanosecondsOf(evaluate, SLICE_MS));
console.log(JSON.stringify({ nanoseconds: median(slices) }));
