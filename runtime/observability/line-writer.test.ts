import { expect, test } from "bun:test";
import { LineWriter } from "./line-writer.ts";

test("LineWriter hands lines on at once when the other end takes them", () => {
  const taken: string[] = [];
  const writer = new LineWriter({ write: (text) => taken.push(text), flush: () => 1 });
  writer.write("a\n");
  writer.write("b\n");
  expect(taken).toEqual(["a\n", "b\n"]);
  expect(writer.dropped).toBe(0);
});

test("LineWriter survives an output that is gone", () => {
  const writer = new LineWriter({
    write() {
      throw Object.assign(new Error("broken pipe"), { code: "EPIPE" });
    },
    flush: () => 0,
  });
  expect(() => writer.write("a\n")).not.toThrow();
  expect(writer.dropped).toBe(1);
});

test("LineWriter drops lines instead of filling the memory when the other end is stuck", async () => {
  const stuck = Promise.withResolvers<number>();
  const lengths: number[] = [];
  const flushes: unknown[] = [stuck.promise];
  const writer = new LineWriter({
    write: (text) => lengths.push(text.length),
    flush: () => flushes.shift() ?? 0,
  });
  const line = `${"x".repeat(1024 * 1024 - 1)}\n`;
  for (let i = 0; i < 20; i++) writer.write(line);
  expect(lengths).toHaveLength(9);
  expect(writer.dropped).toBe(11);
  stuck.resolve(1);
  await writer.drain(10_000);
  writer.write("again\n");
  expect(lengths).toHaveLength(10);
});

test("LineWriter.drain() gives up on an output that never takes anything", async () => {
  const writer = new LineWriter({ write: () => 0, flush: () => new Promise(() => {}) });
  writer.write("a\n");
  await writer.drain(10);
  expect(writer.dropped).toBe(0);
});

test("LineWriter survives a flush that rejects", async () => {
  const rejected = Promise.reject(Object.assign(new Error("broken pipe"), { code: "EPIPE" }));
  const flushes: unknown[] = [rejected];
  const writer = new LineWriter({ write: () => 0, flush: () => flushes.shift() ?? 0 });
  writer.write("a\n");
  writer.write("b\n");
  await writer.drain(10_000);
  expect(writer.dropped).toBe(1);
});
