import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import type { RouteSpec } from "../helpers/engine.ts";
import { load } from "../helpers/http.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

const EXCHANGES = 4000;
const CONNECTIONS = 16;
/** Every policy of a state writes the state's name, in both phases: a mixture would show. */
function state(label: string): RouteSpec[] {
  return [
    {
      route: "flip",
      policies: [
        { name: "tag", parameters: { label } },
        { name: "tag-response", parameters: { label } },
        { name: "tag", parameters: { label } },
        { name: "tag-response", parameters: { label } },
      ],
    },
  ];
}

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes: state("one") });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test(`edge: Concurrent policy modifications: ${EXCHANGES} exchanges under flips are each entirely one state or the other`, async () => {
  const seen = new Map<string, number>();
  const wrong: string[] = [];
  let flips = 0;
  let done = false;
  const flipping = (async () => {
    while (!done) {
      flips += 1;
      await apply(state(flips % 2 === 0 ? "one" : "two"));
    }
  })();
  await load(stack.envoy.port, {
    count: EXCHANGES,
    connections: CONNECTIONS,
    request: () => ({ path: "/flip" }),
    onResponse(response) {
      const labels =
        response.status === 200
          ? [...response.echo().headerValues("x-trace"), ...response.headerValues("x-trace")]
          : [`status ${response.status} ${response.text()}`];
      const whole = labels.join(" ");
      if (whole !== "one one one one" && whole !== "two two two two") wrong.push(whole);
      seen.set(whole, (seen.get(whole) ?? 0) + 1);
    },
  }).finally(() => {
    done = true;
  });
  await flipping;
  expect(wrong).toEqual([]);
  expect(flips).toBeGreaterThan(10);
  expect([...seen.keys()].toSorted()).toEqual(["one one one one", "two two two two"]);
  expect([...seen.values()].reduce((sum, count) => sum + count, 0)).toBe(EXCHANGES);
}, 120_000);

test("edge: instances that no exchange can reach any more are closed, unchanged ones are carried over", async () => {
  const ends = { route: "ends", policies: [{ name: "ends" }] };
  const since = stack.engine.logs().length;
  await apply([...state("one"), ends]);
  await apply([...state("two"), ends]);
  expect(closed(since)).toBe(0);
  await apply(state("two"));
  await stack.engine.waitForLog("instance closed", since);
  expect(closed(since)).toBe(1);
});

async function apply(routes: RouteSpec[]): Promise<void> {
  const since = stack.engine.logs().length;
  await stack.engine.writeRoutes(routes);
  // At once, instead of when the watch finds the file stable: more flips under the same load.
  stack.engine.signal("SIGHUP");
  await stack.engine.waitForLog("Applied configuration", since);
}

function closed(since: number): number {
  return stack.engine
    .logs()
    .slice(since)
    .filter((line) => line.message === "instance closed").length;
}
