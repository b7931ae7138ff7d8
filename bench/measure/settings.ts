/** How long and how often things are measured. */
export interface BenchSettings {
  readonly rounds: number;
  /** Numbers of Envoy's worker threads, each measured by itself. */
  readonly workers: readonly number[];
  /** Requests a second of the steady load; less where that is more than half of what goes through. */
  readonly rate: number;
  /** The share of it for requests with bodies: 100 KiB at the full rate would be 500 MB a second. */
  readonly bodyRateShare: number;
  /** Before anything is measured caches fill. Where code is compiled meanwhile, again until so many requests passed. */
  readonly warmUpSeconds: number;
  readonly warmUpRequests: number;
  /** A slow machine is not waited for longer. */
  readonly warmUpLimitSeconds: number;
  readonly saturatedSeconds: number;
  readonly steadySeconds: number;
  readonly singleSeconds: number;
  readonly startUps: number;
  readonly heldExchanges: number;
  /** Of the soak: an hour of 1,000 a second. */
  readonly soakRequests: number;
}

export const FULL: BenchSettings = {
  rounds: 7,
  workers: [1, 2],
  rate: 5_000,
  bodyRateShare: 0.1,
  warmUpSeconds: 3,
  warmUpRequests: 60_000,
  warmUpLimitSeconds: 30,
  saturatedSeconds: 2,
  steadySeconds: 2,
  singleSeconds: 1,
  startUps: 20,
  heldExchanges: 10_000,
  soakRequests: 3_600_000,
};

/** Enough to see a change of a tenth, in under three minutes. */
export const QUICK: BenchSettings = {
  ...FULL,
  rounds: 4,
  workers: [1],
  warmUpSeconds: 1.5,
  warmUpRequests: 20_000,
  warmUpLimitSeconds: 9,
  saturatedSeconds: 1,
  steadySeconds: 1,
  singleSeconds: 0.5,
  startUps: 5,
  soakRequests: 0,
};

/** So many requests are under way at saturation: few enough for the least memory, enough for every worker. */
export const SATURATING = { connections: 16, requestsAtOnce: 4 };
