import { expect, test } from "bun:test";
import { createEngineMetrics } from "../observability/engine-metrics.ts";
import { createLogger } from "../observability/log.ts";
import { StrayErrors } from "./stray-errors.ts";

const POLICIES = [
  { name: "tag", version: "v1.0.0" },
  { name: "tag", version: "v2.0.0-beta.1" },
];

function kit() {
  const lines: { message: string; metadata: Record<string, unknown> }[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  const metrics = createEngineMetrics();
  const log = createLogger({ level: "info", format: "json", write });
  return { lines, metrics, strays: new StrayErrors(POLICIES, { log, metrics }) };
}

/** An error with these frames. */
function made(frames: readonly string[], message = "x"): Error {
  const error = new Error(message);
  error.stack = [`Error: ${message}`, ...frames.map((frame) => `    at ${frame}`)].join("\n");
  return error;
}

test.each([
  ["of the executable", ["Gpe (policies/tag/v1.0.0/policy.ts:19:17)"], "tag:v1.0.0"],
  ["without a name", ["policies/tag/v2.0.0-beta.1/lib/a.ts:1:1"], "tag:v2.0.0-beta.1"],
  ["of its dependency", ["f (policies/tag/v1.0.0/node_modules/x/y.js:1:1)"], "tag:v1.0.0"],
  [
    "below those of others",
    ["json (native)", "f (../../x/runtime/a.ts:1:1)", "policies/tag/v1.0.0/p.ts:1:1"],
    "tag:v1.0.0",
  ],
  [
    "of two policies: the inner one",
    ["policies/tag/v1.0.0/p.ts:1:1", "policies/tag/v2.0.0-beta.1/p.ts:1:1"],
    "tag:v1.0.0",
  ],
  ["of a policy that is not in the executable", ["policies/tug/v1.0.0/policy.ts:1:1"], undefined],
  ["of the engine", ["f (../../x/runtime/policies/a.ts:1:1)"], undefined],
  ["of none", [], undefined],
])("FR-052: a stray error is attributed by its stack, with a frame %s", (_, frames, expected) => {
  const { strays } = kit();
  expect(strays.policyOf(made(frames))).toBe(expected);
});

test("a message cannot name a policy", () => {
  const message = "no file policies/tag/v1.0.0/data.json\n(policies/tag/v1.0.0/x)";
  expect(kit().strays.policyOf(made([], message))).toBeUndefined();
});

test("edge: whatever was thrown is noted", () => {
  const { strays, lines, metrics } = kit();
  const hostile = new Error("x");
  Object.defineProperty(hostile, "stack", {
    get() {
      throw new Error("stack");
    },
  });
  const numeric = Object.assign(new Error("x"), { stack: 1 });
  for (const error of [undefined, null, "text", 1n, Symbol("x"), {}, hostile, numeric])
    strays.note("rejection", error);
  expect(lines).toHaveLength(8);
  expect(metrics.policyFailures("unknown", "stray_rejection").value).toBe(8);
});

test("FR-052: each is counted for its policy and for the process, and its line names the policy", () => {
  const { strays, lines, metrics } = kit();
  strays.note("exception", made(["policies/tag/v1.0.0/policy.ts:1:1"]));
  strays.note("rejection", made([]));
  expect(metrics.policyFailures("tag:v1.0.0", "stray_exception").value).toBe(1);
  expect(metrics.policyFailures("unknown", "stray_rejection").value).toBe(1);
  expect([metrics.strayErrors("exception").value, metrics.strayErrors("rejection").value]).toEqual([1, 1]);
  expect(lines.map(({ message, metadata }) => [message, metadata.policy])).toEqual([
    ["Exception that nothing caught", "tag:v1.0.0"],
    ["Rejection that nothing waited for", "unknown"],
  ]);
});
