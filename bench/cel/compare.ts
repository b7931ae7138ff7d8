// What conditions cost, beside other evaluators, as a Markdown table: `bun bench/cel/compare.ts [ROUNDS]`. Every figure is
// the median of the rounds, with the least and the most; each round starts every process anew, in turn.
import { join } from "node:path";
import { type Summary, summarise } from "../measure/statistics.ts";
import { CONDITIONS } from "./cases.ts";

const EVALUATORS = ["engine", "cel-js", "bufbuild-cel"];
const ROUNDS = 3;

async function measure(evaluator: string, condition: number): Promise<number> {
  const script = join(import.meta.dir, "conditions.ts");
  const child = Bun.spawn([process.execPath, script, evaluator, String(condition)], { stderr: "inherit" });
  const output = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`Cannot measure ${evaluator}: its process failed`);
  return (JSON.parse(output) as { nanoseconds: number }).nanoseconds;
}

function show({ median, min, max }: Summary): string {
  return `${Math.round(median)} (${Math.round(min)} to ${Math.round(max)})`;
}

const rounds = Number(process.argv[2] ?? ROUNDS);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error("Cannot measure: a number of rounds above 0 is needed");
  process.exit(2);
}
const figures = new Map<string, number[]>();
for (let round = 0; round < rounds; round++) {
  const order = round % 2 === 0 ? EVALUATORS : EVALUATORS.toReversed();
  for (const condition of CONDITIONS.keys()) {
    for (const evaluator of order) {
      const key = `${condition} ${evaluator}`;
      figures.set(key, [...(figures.get(key) ?? []), await measure(evaluator, condition)]);
    }
  }
}
console.log(
  `Nanoseconds of CPU an evaluation: median of ${rounds} rounds (least to most), Bun ${Bun.version}\n`,
);
console.log(
  "The engine makes a context for each, as for a hook; the others have their variables as maps already.\n",
);
console.log(`| Condition | ${EVALUATORS.join(" | ")} |`);
console.log(`| --- |${" ---: |".repeat(EVALUATORS.length)}`);
for (const [condition, source] of CONDITIONS.entries()) {
  const cells = EVALUATORS.map((evaluator) => show(summarise(figures.get(`${condition} ${evaluator}`)!)));
  console.log(`| \`${source.replaceAll("|", "\\|")}\` | ${cells.join(" | ")} |`);
}
