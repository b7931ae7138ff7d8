// Run by `make test-long`: too long for every change.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import { load } from "../helpers/http.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const ROUNDS = Number(process.env.SOAK_ROUNDS ?? 10);
const EXCHANGES_A_ROUND = 10_000;
/** What the process may grow by after the first two rounds, in which caches and the compiler settle. */
const GROWTH_LIMIT_BYTES = 64 * 1024 * 1024;

let stack: Stack;

function state(label: string): RouteSpec[] {
  return [
    {
      route: "soak",
      policies: [
        { name: "remember", parameters: { key: "user", fromHeader: "x-user" } },
        { name: "tag", parameters: { label } },
        { name: "deny", parameters: { whenHeader: "x-deny" } },
        { name: "observe" },
        { name: "tag-response", parameters: { label } },
        { name: "ends" },
      ],
    },
  ];
}

async function memory(): Promise<number> {
  const status = await readFile(`/proc/${stack.engine.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

beforeAll(async () => {
  stack = await startStack({ routes: state("0"), config: { log: { level: "warn", format: "json" } } });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test(`SC-007: ${ROUNDS * EXCHANGES_A_ROUND} exchanges with denials and reloads: none fails, memory stays`, async () => {
  const sizes: number[] = [];
  const statuses = new Map<number, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    await stack.engine.writeRoutes(state(String(round)));
    stack.engine.signal("SIGHUP");
    await load(stack.envoy.port, {
      count: EXCHANGES_A_ROUND,
      connections: 16,
      request: (index) => ({
        path: `/soak/${index}`,
        headers: index % 10 === 0 ? [["x-deny", "1"]] : [["x-user", `user ${index}`]],
      }),
      onResponse({ status }) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      },
    });
    sizes.push(await memory());
    console.log(`round ${round + 1}: ${Math.round((sizes.at(-1) ?? 0) / 1024 / 1024)} MiB`);
  }
  const all = ROUNDS * EXCHANGES_A_ROUND;
  expect(Object.fromEntries(statuses)).toEqual({ 200: all * 0.9, 403: all * 0.1 });
  expect((sizes.at(-1) ?? 0) - (sizes[1] ?? 0)).toBeLessThan(GROWTH_LIMIT_BYTES);
  await waitFor(
    "end of all streams",
    async () => (await stack.engine.metric("policy_kernel_streams_active")) === 0,
  );
  const open = await openFiles();
  expect(open).toBeLessThan(100);
}, 3_600_000);

async function openFiles(): Promise<number> {
  const glob = new Bun.Glob("*");
  return (await Array.fromAsync(glob.scan({ cwd: `/proc/${stack.engine.pid}/fd`, onlyFiles: false }))).length;
}
