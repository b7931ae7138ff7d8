import type { Problem } from "../document/problem.ts";
import type { YamlDocument } from "../document/yaml-document.ts";
import type { EngineConfig } from "./engine-config.ts";
import { formatDuration } from "./quantity.ts";
import { warningReporter } from "./warning.ts";

/** `stream_idle_timeout` of Envoy's connection manager, where its configuration does not say otherwise. */
export const ENVOY_IDLE_TIMEOUT_MS = 300_000;

/** What of a valid engine configuration is legal but without effect. */
export function engineWarnings(
  { limits }: Pick<EngineConfig, "limits">,
  document: Pick<YamlDocument, "problem">,
): Problem[] {
  if (limits.bodyWaitMs <= ENVOY_IDLE_TIMEOUT_MS) return [];
  const warn = warningReporter(document.problem.bind(document));
  const message = `"limits.bodyWait" is never over: Envoy ends a request after ${formatDuration(ENVOY_IDLE_TIMEOUT_MS)} in which nothing came`;
  const hint = 'Lower it, or raise "stream_idle_timeout" of Envoy\'s connection manager';
  return [warn("body-wait-above-idle-timeout", { pointer: "/limits/bodyWait", message, hint })];
}
