import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { LogLine } from "../helpers/engine.ts";
import type { ClientRequest } from "../helpers/http.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

/** Requests of each kind: many times what may be written of it. */
const COUNT = 250;
const AT_ONCE = 8;
/** Lines of one kind in one second; the README says so. */
const LINES_A_SECOND = 10;

const body = { name: "transform", parameters: { request: { see: "x-see" } } };
const routes = [
  { route: "throwing", policies: [{ name: "faulty", parameters: { how: "throw" } }] },
  { route: "open", policies: [{ name: "faulty", failureMode: "open", parameters: { how: "reject" } }] },
  { route: "broken", policies: [{ name: "faulty", parameters: { how: "create" } }] },
  { route: "large", limits: { bodyBytes: "1KiB" }, policies: [body] },
  {
    route: "condition",
    policies: [
      {
        name: "tag",
        parameters: { label: "1" },
        conditionError: "deny",
        executionCondition: 'int(request.headers["x-number"]) > 1',
      },
    ],
  },
  { route: "ends", policies: [{ name: "leaky", parameters: { how: "end", plain: "none at all" } }] },
];

/** What is sent to each route, the answer to it, and the line that it causes. */
const FLOODS: Readonly<Record<string, [status: number, message: string, more?: ClientRequest]>> = {
  throwing: [500, "Policy failed in onRequest"],
  open: [200, "Policy failed in onRequest"],
  broken: [503, "Refused an exchange"],
  large: [413, "Refused a body", { method: "POST", body: "x".repeat(2_000) }],
  condition: [500, "Condition failed"],
  ends: [200, "Policy failed in onEnd"],
};

let stack: Stack;
let seconds = 0;

beforeAll(async () => {
  stack = await startStack({ routes });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

/** All kinds at once. */
async function flood(): Promise<void> {
  const startedAt = performance.now();
  const todo = Array.from({ length: COUNT }, () => Object.keys(FLOODS)).flat();
  const work = async (): Promise<void> => {
    for (let route = todo.pop(); route !== undefined; route = todo.pop()) {
      const [status, , more] = FLOODS[route]!;
      const response = await stack.request({ path: `/${route}`, ...more });
      expect([route, response.status]).toEqual([route, status]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  seconds += (performance.now() - startedAt) / 1000;
}

/** What of a log is about a kind of line: written, and told to be left out. */
function account(lines: readonly LogLine[], message: string): { written: number; suppressed: number } {
  const written = lines.filter((line) => line.message === message).length;
  const told = lines.filter(({ metadata }) => metadata?.line === message);
  const suppressed = told.reduce((sum, { metadata }) => sum + Number(metadata?.suppressed), 0);
  return { written, suppressed };
}

test("edge: what requests cause does not flood the log, and lines and what was left out add up, also at the end", async () => {
  await flood();
  // Whatever of the last second is not told yet is told at the end.
  expect(await stack.engine.stop()).toBe(0);
  const lines = stack.engine.logs();
  const messages = Object.values(FLOODS).map(([, message]) => message);
  for (const message of new Set(messages)) {
    const floods = messages.filter((other) => other === message).length;
    const { written, suppressed } = account(lines, message);
    expect([message, written + suppressed]).toEqual([message, COUNT * floods]);
    // A window begins with its first line: one more than there are whole seconds, and one for the rounding.
    expect(written).toBeLessThanOrEqual(LINES_A_SECOND * (Math.ceil(seconds) + 2));
    expect(written).toBeGreaterThanOrEqual(LINES_A_SECOND);
  }
  expect(lines.at(-1)?.message).toBe("Stopped");
});
