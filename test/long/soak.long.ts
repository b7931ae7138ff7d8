// Run by `make test-long`: too long for every change.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import { load } from "../helpers/http.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";
import { residentMemory } from "../integration/scale-figures.ts";

const ROUNDS = Number(process.env.SOAK_ROUNDS ?? 30);
const EXCHANGES_A_ROUND = 10_000;
/** The routes change while requests are under way, each time after this many answers. */
const ANSWERS_A_RELOAD = 2_000;
/** Rounds in which caches and the compiler settle. */
const SETTLING = 2;
/** What the process may grow by from the first third of the other rounds to the last, by their medians. */
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

beforeAll(async () => {
  stack = await startStack({ routes: state("0"), config: { log: { level: "warn", format: "json" } } });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test(`SC-007: ${ROUNDS * EXCHANGES_A_ROUND} exchanges with denials and reloads: none fails, memory stays`, async () => {
  const sizes: number[] = [];
  const statuses = new Map<number, number>();
  const mixed: string[] = [];
  let reloads = 0;
  const reload = async (): Promise<void> => {
    reloads += 1;
    await stack.engine.writeRoutes(state(String(reloads)));
    stack.engine.signal("SIGHUP");
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    const reloading: Promise<void>[] = [];
    await load(stack.envoy.port, {
      count: EXCHANGES_A_ROUND,
      connections: 16,
      request: (index) => ({
        path: `/soak/${index}`,
        headers: index % 10 === 0 ? [["x-deny", "1"]] : [["x-user", `user ${index}`]],
      }),
      onResponse(response, index) {
        const { status } = response;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (index % ANSWERS_A_RELOAD === 0) reloading.push(reload());
        if (status !== 200) return;
        const labels = [...response.echo().headerValues("x-trace"), ...response.headerValues("x-trace")];
        if (labels.length !== 2 || labels[0] !== labels[1]) mixed.push(labels.join(" "));
      },
    });
    await Promise.all(reloading);
    stack.upstream.forget();
    const size = await residentMemory(stack.engine.pid);
    sizes.push(size);
    console.log(`round ${round + 1} of ${ROUNDS}: ${Math.round(size / 1024 ** 2)} MiB, ${reloads} reloads`);
  }
  const all = ROUNDS * EXCHANGES_A_ROUND;
  expect(Object.fromEntries(statuses)).toEqual({ 200: all * 0.9, 403: all * 0.1 });
  expect(mixed).toEqual([]);
  const settled = sizes.slice(SETTLING);
  const third = Math.ceil(settled.length / 3);
  expect(median(settled.slice(-third)) - median(settled.slice(0, third))).toBeLessThan(GROWTH_LIMIT_BYTES);
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

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
