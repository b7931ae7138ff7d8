// CPU of a process as the scheduler counts it: to the nanosecond for each thread, not in ticks of 10 ms.
import { readdirSync, readFileSync } from "node:fs";

/** What a process had used at one moment, by thread. */
export type CpuReading = ReadonlyMap<string, number>;

/** Reads what each thread of a process has used so far, in nanoseconds. */
export function readCpu(pid: number): CpuReading {
  const threads = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = textOf(`/proc/${pid}/task/${thread}/schedstat`);
    if (text !== undefined) threads.set(thread, Number(text.split(" ")[0]));
  }
  return threads;
}

/**
 * What was used from one reading to another, in nanoseconds. What a thread that ended in between used after the
 * first reading is lost.
 */
export function cpuBetween(before: CpuReading, after: CpuReading): number {
  let sum = 0;
  for (const [thread, used] of after) sum += used - (before.get(thread) ?? 0);
  return sum;
}

/** Undefined: the thread has ended. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
