import type { Sample } from "../measure/sample.ts";
import { FULL } from "../measure/settings.ts";
import type { BenchResult, VariantResult } from "./result.ts";

/** Figures that no machine ever gave, with one of everything a report has to show. */
export const FIXTURE: BenchResult = {
  date: "2026-01-01",
  commit: "0000000",
  machine: { cpu: "Imagined 9000", cores: 4, memoryGiB: 16, kernel: "Linux 6.12", virtual: true },
  busyBefore: 0.014,
  versions: { Envoy: "1.36.2", tonic: "tonic 0.14.9, Rust 1.95.0" },
  settings: { ...FULL, rounds: 3, workers: [1] },
  rates: { 1: 4_950 },
  cores: { 1: "Envoy on core 0, processor on 1, upstream and load on 2-3" },
  variants: [
    variant("envoy", "Envoy alone", [sample(30), sample(31), sample(29)]),
    variant("ceiling", "Ceiling: our transport, fixed answers", processed(5, 20_000)),
    variant("tonic", "tonic (Rust), empty server", processed(16, 18_000)),
    variant("engine-1", "policy-engine, 1 policy", processed(9, 19_000)),
    variant("engine-jwt", "policy-engine, cached JWT and 1 policy", processed(14, 17_000)),
    {
      ...variant("grpc-go-body-10k", "grpc-go, 10 KiB body sent back", processed(60, 5_000)),
      bodyBytes: 10_240,
    },
    {
      ...variant("engine-body-10k", "policy-engine, 10 KiB body <replaced> | raw", processed(66, 5_000)),
      bodyBytes: 10_240,
    },
    variant("grpc-js", "grpc-js on Bun, empty server", []),
    variant("engine-5", "policy-engine, 5 policies", [{ "saturated.perSecond": 4_000, "single.p50": 400 }]),
  ],
  scenarios: {
    startUp: { readyMs: [80, 70, 90], idleMB: [60, 61, 59] },
    held: { exchanges: 10_000, answered: 10_000, heldMB: 251 },
    soak: { requests: 3_600_000, residentMB: [100, 101, 102, 103, 104, 120] },
  },
  leftOut: [{ name: "grpc-go", reason: "go is not on PATH, Go 1.26 or later is needed to build it" }],
  failures: [{ name: "grpc-js", reason: "Round 1/3, workers 1: Cannot start grpc-js: it exited\nand more" }],
};

function variant(name: string, title: string, samples: Sample[]): VariantResult {
  return { name, title, workers: 1, samples };
}

function processed(cpu: number, perSecond: number): Sample[] {
  return [0, 0.5, -0.25].map((more) => ({
    ...sample(50 + more),
    "saturated.perSecond": perSecond - 100 * more,
    "saturated.processorCpu": cpu - 2 + more,
    "steady.processorCpu": cpu + more,
    "steady.perSecond": cpu > 60 ? 480 : 5_000,
    memory: 80 + more,
  }));
}

function sample(envoyCpu: number): Sample {
  return {
    "saturated.perSecond": 36_000,
    "saturated.envoyCpu": envoyCpu - 3,
    "saturated.upstreamCpu": 12,
    "steady.perSecond": 5_000,
    "steady.envoyCpu": envoyCpu,
    "steady.p50": envoyCpu * 4,
    "steady.p95": envoyCpu * 6,
    "steady.p99": envoyCpu * 8,
    "single.p50": envoyCpu * 3,
    "single.p99": envoyCpu * 5,
  };
}
