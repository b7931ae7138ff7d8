import type { Outcome } from "@policy-engine/sdk";
import { type Counter, type Gauge, type Histogram, MetricsRegistry } from "./metrics.ts";

/** How a change of the routes ended: whole, in part, not at all, or there was nothing to change. */
export type ReloadResult = "applied" | "partial" | "rejected" | "unchanged";

/** What of a policy's code got away from the engine. */
export type StrayKind = "exception" | "rejection";

/** What the engine counts. `policy` is always `name:version`. Series are kept: hold on to them where it is hot. */
export interface EngineMetrics {
  requests(route: string, status: string): Counter;
  requestDuration(route: string): Histogram;
  /** Counts an exchange and the seconds that the engine took for it. */
  exchangeEnded(route: string, outcome: Outcome, seconds: number): void;
  /** 1 while the worker serves, else 0. */
  readonly workerHealth: Gauge;
  executions(policy: string, status: string): Counter;
  executionDuration(policy: string): Histogram;
  policyFailures(policy: string, reason: string): Counter;
  protocolErrors(reason: string): Counter;
  configReloads(result: ReloadResult): Counter;
  /** Routes with a chain. */
  readonly routesActive: Gauge;
  /** Routes that are configured and were never valid; they answer 503. */
  readonly routesUnavailable: Gauge;
  readonly streamsActive: Gauge;
  /** What the bodies take that are held, in bytes. */
  readonly bodyMemory: Gauge;
  strayErrors(kind: StrayKind): Counter;
  /** Everything in the Prometheus text format. */
  expose(): string;
}

/** What is held of a route. */
interface RouteSeries {
  readonly duration: Histogram;
  readonly ended: Partial<Record<Outcome, Counter>>;
}

/** From a header-only exchange well under a millisecond to the longest message timeout anyone should set. */
const REQUEST_SECONDS = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** A hook is a part of a request, so the row begins lower. */
const EXECUTION_SECONDS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5,
];

/** Makes the engine's metrics, all at zero. `worker` is the label of the process that counts. */
export function createEngineMetrics(worker = "main"): EngineMetrics {
  const registry = new MetricsRegistry();
  const requests = registry.counter(
    "policy_kernel_requests_total",
    "Exchanges by route and by how they ended.",
    ["route", "worker", "status"],
  );
  const requestDuration = registry.histogram(
    "policy_kernel_request_duration_seconds",
    "Time the engine took for an exchange, without the waits between Envoy's messages.",
    ["route", "worker"],
    REQUEST_SECONDS,
  );
  const workerHealth = registry.gauge(
    "policy_kernel_worker_health",
    "Whether the worker serves: 1 yes, 0 no.",
    ["worker"],
  );
  const executions = registry.counter(
    "policy_worker_executions_total",
    "Runs of policy hooks by how they ended.",
    ["policy", "status", "worker"],
  );
  const executionDuration = registry.histogram(
    "policy_worker_execution_duration_seconds",
    "Time a policy's hook took.",
    ["policy", "worker"],
    EXECUTION_SECONDS,
  );
  const policyFailures = registry.counter(
    "policy_worker_policy_failures_total",
    "Failures of policies by reason.",
    ["policy", "reason", "worker"],
  );
  const protocolErrors = registry.counter(
    "policy_kernel_protocol_errors_total",
    "Messages that Envoy should not have sent, by reason.",
    ["reason", "worker"],
  );
  const configReloads = registry.counter(
    "policy_kernel_config_reloads_total",
    "Changes of the routes by how they ended.",
    ["result", "worker"],
  );
  const routesActive = registry.gauge("policy_kernel_routes_active", "Routes with a policy chain.", [
    "worker",
  ]);
  const routesUnavailable = registry.gauge(
    "policy_kernel_routes_unavailable",
    "Routes that are configured but were never valid; they answer 503.",
    ["worker"],
  );
  const streamsActive = registry.gauge("policy_kernel_streams_active", "Exchanges at work.", ["worker"]);
  const bodyMemory = registry.gauge("policy_kernel_body_memory_bytes", "Bytes of the bodies that are held.", [
    "worker",
  ]);
  const strayErrors = registry.counter(
    "policy_kernel_stray_errors_total",
    "Exceptions and rejections that nothing waited for.",
    ["kind", "worker"],
  );
  reportProcess(registry);
  const routes = new Map<string, RouteSeries>();
  return {
    exchangeEnded: (route, outcome, seconds) => {
      let series = routes.get(route);
      if (series === undefined) {
        series = { duration: requestDuration.with(route, worker), ended: {} };
        routes.set(route, series);
      }
      series.ended[outcome] ??= requests.with(route, worker, outcome);
      series.ended[outcome].inc();
      series.duration.observe(seconds);
    },
    requests: (route, status) => requests.with(route, worker, status),
    requestDuration: (route) => requestDuration.with(route, worker),
    workerHealth: workerHealth.with(worker),
    executions: (policy, status) => executions.with(policy, status, worker),
    executionDuration: (policy) => executionDuration.with(policy, worker),
    policyFailures: (policy, reason) => policyFailures.with(policy, reason, worker),
    protocolErrors: (reason) => protocolErrors.with(reason, worker),
    configReloads: (result) => configReloads.with(result, worker),
    routesActive: routesActive.with(worker),
    routesUnavailable: routesUnavailable.with(worker),
    streamsActive: streamsActive.with(worker),
    bodyMemory: bodyMemory.with(worker),
    strayErrors: (kind) => strayErrors.with(kind, worker),
    expose: () => registry.expose(),
  };
}

/** The usual facts of a process, read when they are asked for. */
function reportProcess(registry: MetricsRegistry): void {
  const memory = registry.gauge("process_resident_memory_bytes", "Resident memory.").with();
  const cpu = registry.counter("process_cpu_seconds_total", "Processor time, user and system.").with();
  const start = registry.gauge("process_start_time_seconds", "Start of the process since the epoch.").with();
  start.set(Math.round(performance.timeOrigin) / 1_000);
  registry.beforeExpose(() => {
    memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    cpu.inc((user + system) / 1_000_000 - cpu.value);
  });
}
