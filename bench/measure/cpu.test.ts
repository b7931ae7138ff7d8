import { expect, test } from "bun:test";
import { cpuBetween, readCpu } from "./cpu.ts";

test("work of this process is counted, to much less than a tick", () => {
  const before = readCpu(process.pid);
  const begun = process.threadCpuUsage();
  while (process.threadCpuUsage(begun).user < 20_000);
  const used = cpuBetween(before, readCpu(process.pid));
  expect(used).toBeGreaterThan(15_000_000);
});

test("a thread that began in between counts whole, one that ended does not count against the others", () => {
  const before = new Map([
    ["1", 100],
    ["2", 5000],
  ]);
  const after = new Map([
    ["1", 130],
    ["3", 7],
  ]);
  expect(cpuBetween(before, after)).toBe(37);
});
