import type { EngineMetrics } from "../observability/engine-metrics.ts";
import { type HttpPages, jsonAnswer } from "./http-server.ts";

/** Why the engine is not ready, or `ready`. */
export type Readiness = "starting" | "no_configuration" | "ready" | "stopping";

/** What the health server reports on. */
export interface HealthSources {
  readiness(): Readiness;
  readonly metrics: EngineMetrics;
}

const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The pages for probes and for Prometheus. They tell nothing that is worth hiding. */
export function healthPages({ readiness, metrics }: HealthSources): HttpPages {
  return {
    "/health/live": () => jsonAnswer(200, { status: "live" }),
    "/health/ready": () => {
      const state = readiness();
      return state === "ready"
        ? jsonAnswer(200, { status: "ready" })
        : jsonAnswer(503, { status: "not_ready", reason: state });
    },
    "/metrics": () => ({ status: 200, contentType: EXPOSITION_TYPE, body: metrics.expose() }),
  };
}
