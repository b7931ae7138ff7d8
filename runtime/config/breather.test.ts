import { expect, test } from "bun:test";
import { Breather } from "./breather.ts";

/** Two of these are longer than what may be done at one go. */
function work(): void {
  const until = performance.now() + 3;
  while (performance.now() < until);
}

test("lanes that share a breather share its time: it is not measured anew for each of them", async () => {
  const breather = new Breather();
  const events: string[] = [];
  let ended = false;
  const other = (): void => {
    events.push(" ");
    if (!ended) setImmediate(other);
  };
  setImmediate(other);
  const lane = async (name: string): Promise<void> => {
    for (let piece = 0; piece < 6; piece++) {
      await breather.pause();
      work();
      events.push(name);
    }
  };
  const lanes = [..."abcdefgh"];
  await Promise.all(lanes.map(lane));
  ended = true;
  const turns = events.join("").split(" ");
  expect(turns.join("")).toHaveLength(lanes.length * 6);
  // A piece for each lane, and one that was begun in time; two for each lane were 16.
  expect(Math.max(...turns.map(({ length }) => length))).toBeLessThanOrEqual(lanes.length + 2);
});
