import { describe, expect, test } from "bun:test";
import { createEngineMetrics } from "./engine-metrics.ts";
import { MetricsRegistry } from "./metrics.ts";
import { parseExposition } from "./parse-exposition.ts";

describe("MetricsRegistry", () => {
  test("counters grow only", () => {
    const registry = new MetricsRegistry();
    const counter = registry.counter("a_total", "A.").with();
    counter.inc();
    counter.inc(2.5);
    counter.inc(-1);
    counter.inc(Number.NaN);
    expect(registry.expose()).toBe("# HELP a_total A.\n# TYPE a_total counter\na_total 3.5\n");
  });

  test("a series is made once", () => {
    const family = new MetricsRegistry().counter("a_total", "A.", ["x", "y"]);
    expect(family.with("1", "2")).toBe(family.with("1", "2"));
    expect(family.with("1", "2")).not.toBe(family.with("12", ""));
  });

  test("label values and help are escaped and read back as they were", () => {
    const registry = new MetricsRegistry();
    const nasty = 'a"b\\c\nd}, {e="f",\r';
    registry.gauge("g", "line\nbreak \\ slash", ["l"]).with(nasty).set(-Infinity);
    const parsed = parseExposition(registry.expose());
    expect(parsed.help.get("g")).toBe("line\nbreak \\ slash");
    expect(parsed.samples).toEqual([{ name: "g", labels: { l: nasty }, value: -Infinity }]);
  });

  test("a histogram's buckets add up and hold their upper bound", () => {
    const registry = new MetricsRegistry();
    const histogram = registry.histogram("h_seconds", "H.", ["r"], [0.1, 1]).with("x");
    for (const value of [0.05, 0.1, 0.5, 7, Number.NaN]) histogram.observe(value);
    const { samples, type } = parseExposition(registry.expose());
    expect(type.get("h_seconds")).toBe("histogram");
    expect(samples.map((sample) => [sample.name, sample.labels.le, sample.value])).toEqual([
      ["h_seconds_bucket", "0.1", 2],
      ["h_seconds_bucket", "1", 3],
      ["h_seconds_bucket", "+Inf", 4],
      ["h_seconds_sum", undefined, 7.65],
      ["h_seconds_count", undefined, 4],
    ]);
    expect(histogram.count).toBe(4);
  });

  test("series over the limit are counted together", () => {
    const registry = new MetricsRegistry();
    const family = registry.counter("a_total", "A.", ["x", "y"]);
    for (let i = 0; i < 20_010; i++) family.with(String(i), "z").inc();
    const { samples } = parseExposition(registry.expose());
    expect(samples).toHaveLength(20_001);
    expect(samples.at(-1)).toEqual({
      name: "a_total",
      labels: { x: "_overflow", y: "_overflow" },
      value: 10,
    });
    family.with("5", "z").inc();
    expect(family.with("5", "z").value).toBe(2);
  });

  test("wrong names, labels, buckets and label counts are refused", () => {
    const registry = new MetricsRegistry();
    registry.counter("a_total", "A.", ["x"]);
    expect(() => registry.gauge("a_total", "again")).toThrow(
      'Cannot add metric "a_total": it exists already',
    );
    expect(() => registry.gauge("a-b", "")).toThrow(RangeError);
    expect(() => registry.gauge("b", "", ["le"])).toThrow(RangeError);
    expect(() => registry.histogram("h", "", [], [1, 1])).toThrow(RangeError);
    expect(() => registry.counter("b_total", "B.", ["x"]).with()).toThrow(TypeError);
  });
});

describe("createEngineMetrics()", () => {
  test("003 6.1: the names and labels of the source document", () => {
    const metrics = createEngineMetrics("w1");
    metrics.requests("orders", "denied").inc();
    metrics.requestDuration("orders").observe(0.002);
    metrics.workerHealth.set(1);
    metrics.executions("a:v1.0.0", "passed").inc();
    metrics.executionDuration("a:v1.0.0").observe(0.0001);
    metrics.policyFailures("a:v1.0.0", "threw").inc();
    const { samples } = parseExposition(metrics.expose());
    const find = (name: string): unknown => samples.find((sample) => sample.name === name);
    expect(find("policy_kernel_requests_total")).toEqual({
      name: "policy_kernel_requests_total",
      labels: { route: "orders", worker: "w1", status: "denied" },
      value: 1,
    });
    expect(find("policy_kernel_request_duration_seconds_count")).toMatchObject({
      labels: { route: "orders", worker: "w1" },
    });
    expect(find("policy_kernel_worker_health")).toMatchObject({ labels: { worker: "w1" }, value: 1 });
    expect(find("policy_worker_executions_total")).toMatchObject({
      labels: { policy: "a:v1.0.0", status: "passed", worker: "w1" },
    });
    expect(find("policy_worker_execution_duration_seconds_sum")).toMatchObject({ value: 0.0001 });
    expect(find("policy_worker_policy_failures_total")).toMatchObject({
      labels: { policy: "a:v1.0.0", reason: "threw", worker: "w1" },
    });
  });

  test("the process is reported at each exposition", () => {
    const metrics = createEngineMetrics();
    const value = (name: string): number =>
      parseExposition(metrics.expose()).samples.find((sample) => sample.name === name)!.value;
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
    const first = value("process_cpu_seconds_total");
    expect(value("process_cpu_seconds_total")).toBeGreaterThan(first);
    expect(value("process_start_time_seconds")).toBeLessThanOrEqual(Date.now() / 1_000);
  });
});
