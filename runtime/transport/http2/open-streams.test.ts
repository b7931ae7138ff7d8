import { edenGC, fullGC, heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OpenStreams } from "./open-streams.ts";
import type { GrpcStream } from "./stream.ts";

function stream(id: number): GrpcStream {
  return { id } as GrpcStream;
}

describe("open streams", () => {
  test("edge: ids far apart, many held open, any order of ends: the same as a Map", () => {
    const ids = fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 0x3fffffff }));
    const steps = fc.array(fc.record({ id: ids, opens: fc.boolean() }), { maxLength: 600, size: "max" });
    fc.assert(
      fc.property(steps, (all) => {
        const model = new Map<number, GrpcStream>();
        const streams = new OpenStreams();
        for (const { id: half, opens } of all) {
          const id = 2 * half + 1;
          if (!opens || model.has(id)) {
            model.delete(id);
            streams.delete(id);
          } else {
            const one = stream(id);
            model.set(id, one);
            streams.add(one);
          }
          expect(streams.get(id)).toBe(model.get(id));
          expect(streams.size).toBe(model.size);
        }
        for (const [id, one] of model) expect(streams.get(id)).toBe(one);
        expect(streams.values().toSorted((a, b) => a.id - b.id)).toEqual(
          [...model.values()].toSorted((a, b) => a.id - b.id),
        );
        streams.clear();
        expect([streams.size, streams.values(), streams.get(1)]).toEqual([0, [], undefined]);
      }),
    );
  });

  test("edge: 10,000 held open while others come and go: all are found, and the table is found again when they end", () => {
    const streams = new OpenStreams();
    const held = Array.from({ length: 10_000 }, (_, index) => stream(2 * index + 1));
    for (const one of held) streams.add(one);
    for (let id = 20_001; id < 60_001; id += 2) {
      streams.add(stream(id));
      streams.delete(id);
    }
    expect(held.every((one) => streams.get(one.id) === one)).toBe(true);
    for (const one of held) streams.delete(one.id);
    expect([streams.size, streams.values()]).toEqual([0, []]);
  });

  test("edge: streams that ended are freed by young collections, whatever was in the table when it grew", () => {
    const streams = new OpenStreams();
    fullGC();
    const before = heapStats().objectTypeCounts.Uint8Array ?? 0;
    for (let index = 0; index < 20_000; index++) {
      streams.add({ id: 2 * index + 1, holds: new Uint8Array(1) } as unknown as GrpcStream);
      if (index >= 64) streams.delete(2 * (index - 64) + 1);
      if (index % 500 === 0) edenGC();
    }
    edenGC();
    // Those that were open at a collection (64 of each) grow old with it; with a Map nearly all did.
    expect((heapStats().objectTypeCounts.Uint8Array ?? 0) - before).toBeLessThan(6_000);
  });
});
