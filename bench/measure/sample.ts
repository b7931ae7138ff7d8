/** What one round measures of one variant. CPU is in microseconds a request, latency in microseconds. */
export const METRICS = [
  "saturated.perSecond",
  "saturated.envoyCpu",
  "saturated.processorCpu",
  "saturated.upstreamCpu",
  "steady.perSecond",
  "steady.envoyCpu",
  "steady.processorCpu",
  "steady.p50",
  "steady.p95",
  "steady.p99",
  "single.p50",
  "single.p99",
  /** Megabytes (10^6 bytes) that the processor has resident at the end of the round. */
  "memory",
] as const;

export type Metric = (typeof METRICS)[number];

/** A variant without a processor has neither its CPU nor its memory; one that is too slow has nothing steady. */
export type Sample = Readonly<Partial<Record<Metric, number>>>;
