// The machine, named so that figures can be judged, and by nothing that tells whose it is.
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Whether the machine is a virtual one, as far as its processor says. */
  readonly virtual: boolean;
}

export function describeMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: `Linux ${/^\d+\.\d+/.exec(release())?.[0] ?? "unknown"}`,
    virtual: / hypervisor /.test(readFileSync("/proc/cpuinfo", "latin1")),
  };
}

/** The share of all cores that was at work between two moments, for a machine that should be quiet. */
export function readBusy(): { readonly busy: number; readonly all: number } {
  const line = readFileSync("/proc/stat", "latin1").split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user + nice + system + irq + softIrq + steal;
  return { busy, all: busy + idle + wait };
}
