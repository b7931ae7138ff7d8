/** Seconds since a moment of `performance.now()`, for people. */
export function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

/** The most memory a process has had resident, in bytes. */
export function peakMemory(pid: number): Promise<number> {
  return memoryOf(pid, "VmHWM");
}

/** The memory a process has resident, in bytes. */
export function residentMemory(pid: number): Promise<number> {
  return memoryOf(pid, "VmRSS");
}

async function memoryOf(pid: number, field: "VmHWM" | "VmRSS"): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  if (kibibytes === undefined) throw new Error(`Cannot read the memory of process ${pid}: no ${field}`);
  return Number(kibibytes) * 1024;
}
