import type { Problem } from "../document/problem.ts";
import type { Tree } from "../document/tree.ts";
import type { YamlDocument } from "../document/yaml-document.ts";
import type { EngineConfig } from "./engine-config.ts";
import { durationOf, type EnvoyFilter, envoyFilters } from "./envoy-filters.ts";
import { formatDuration, formatSize } from "./quantity.ts";
import { type WarningCode, type WarningReporter, warningReporter } from "./warning.ts";
import { ENVOY_IDLE_TIMEOUT_MS } from "./warnings-engine.ts";
import { routingWarnings } from "./warnings-envoy-routes.ts";

/** Envoy's own values where its configuration gives none. */
const MESSAGE_TIMEOUT_MS = 200;
const BUFFER_BYTES = 1024 * 1024;

/** What of an Envoy configuration takes effect away from the engine behind it. */
export function envoyWarnings(
  document: YamlDocument,
  { config, routes }: { readonly config: EngineConfig; readonly routes: ReadonlySet<string> },
): Problem[] {
  const warn = warningReporter(document.problem.bind(document));
  const { address } = config.extProc;
  const filters = envoyFilters(document.value, address.kind === "tcp" ? address.port : undefined);
  if (filters.length === 0) {
    const message =
      "No ext_proc filter is in the static listeners: no request reaches the engine through them";
    const hint =
      'Add the filter that "policy-engine envoy-config" prints; what xDS brings cannot be seen here';
    return [warn("envoy-no-filter", { pointer: "/static_resources", message, hint })];
  }
  return filters.flatMap((filter) => [
    ...filterWarnings(filter, { config, warn }),
    ...routingWarnings(filter, { config, routes, warn }),
  ]);
}

interface Judge {
  readonly config: EngineConfig;
  readonly warn: WarningReporter;
}

function filterWarnings(filter: EnvoyFilter, { config, warn }: Judge): Problem[] {
  const found: Problem[] = [];
  const say = (code: WarningCode, { pointer }: Tree, message: string, hint: string): void => {
    found.push(warn(code, { pointer, message, hint }));
  };
  const { config: extProc, connectionManager, listener } = filter;
  const { limits } = config;

  const failureModeAllow = extProc.get("failure_mode_allow");
  if (failureModeAllow.value === true) {
    const message = "Requests pass unpoliced while the engine cannot be reached: failure_mode_allow is true";
    say("envoy-failure-mode-allow", failureModeAllow, message, 'Set "failure_mode_allow: false"');
  }
  const observability = extProc.get("observability_mode");
  if (observability.value === true) {
    const message = "Nothing that policies decide is applied: observability_mode is true";
    say("envoy-observability-mode", observability, message, 'Take "observability_mode" out');
  }
  const immediate = extProc.get("disable_immediate_response");
  if (immediate.value === true) {
    const message = "Envoy refuses the answers of policies: disable_immediate_response is true";
    say("envoy-immediate-response", immediate, message, 'Take "disable_immediate_response" out');
  }
  const timeout = extProc.get("message_timeout");
  const timeoutMs = durationOf(timeout, MESSAGE_TIMEOUT_MS);
  if (timeoutMs < config.extProc.messageTimeoutMs) {
    const wanted = formatDuration(config.extProc.messageTimeoutMs);
    const message = `Envoy gives up after ${formatDuration(timeoutMs)}, while policies believe they have "extProc.messageTimeout", ${wanted}`;
    say("envoy-message-timeout", timeout, message, `Set "message_timeout" to ${wanted}`);
  }
  const buffer = listener.get("per_connection_buffer_limit_bytes");
  const bytes = typeof buffer.value === "number" ? buffer.value : BUFFER_BYTES;
  if (bytes < limits.bodyBytes) {
    const message = `Envoy refuses bodies beyond ${formatSize(bytes)} by itself, while "limits.bodyBytes" is ${formatSize(limits.bodyBytes)}`;
    const hint = `Set "per_connection_buffer_limit_bytes: ${limits.bodyBytes}"`;
    say("envoy-buffer-limit", buffer, message, hint);
  }
  const idle = connectionManager.get("stream_idle_timeout");
  const idleMs = durationOf(idle, ENVOY_IDLE_TIMEOUT_MS);
  if (idleMs > 0 && idleMs < limits.bodyWaitMs) {
    const message = `"limits.bodyWait", ${formatDuration(limits.bodyWaitMs)}, is never over: Envoy ends a request after ${formatDuration(idleMs)} in which nothing came`;
    say(
      "body-wait-above-idle-timeout",
      idle,
      message,
      'Raise "stream_idle_timeout", or lower "limits.bodyWait"',
    );
  }
  modeWarnings(extProc, say);
  mutationWarnings(extProc, say);
  return found;
}

type Say = (code: WarningCode, at: Tree, message: string, hint: string) => void;

/** A mode that is not given, or `DEFAULT`, is Envoy's own. */
const STANDARD_MODES = {
  request_header_mode: "SEND",
  response_header_mode: "SEND",
  request_body_mode: "NONE",
  response_body_mode: "NONE",
  request_trailer_mode: "SKIP",
  response_trailer_mode: "SKIP",
} as const;
const WIDE_MODES = {
  request_header_mode: "SEND",
  response_header_mode: "SEND",
  request_body_mode: "BUFFERED",
  response_body_mode: "BUFFERED",
  request_trailer_mode: "SEND",
  response_trailer_mode: "SEND",
} as const;

function modeWarnings(extProc: Tree, say: Say): void {
  const override = extProc.get("allow_mode_override");
  const forbidden = override.value !== true;
  const modes = extProc.get("processing_mode");
  const names = Object.keys(WIDE_MODES) as (keyof typeof WIDE_MODES)[];
  const wrong = names.flatMap((name) => {
    const given = modes.get(name).value;
    const mode = given === undefined || given === "DEFAULT" ? STANDARD_MODES[name] : String(given);
    if (mode === WIDE_MODES[name]) return [];
    // What is off is switched on where overrides are allowed; but nothing comes before the request's headers.
    if (!forbidden && name !== "request_header_mode" && ["NONE", "SKIP"].includes(mode)) return [];
    return [`${name} is ${mode}`];
  });
  if (wrong.length > 0) {
    const message = `Policies are not enforced, or requests refused, where they need what Envoy does not send whole: ${wrong.join(", ")}`;
    const hint = "Send headers and trailers, and bodies BUFFERED";
    say("envoy-processing-mode", modes, message, hint);
  }
  if (!forbidden) return;
  const message = "The engine cannot tell Envoy what a request needs: allow_mode_override is not true";
  say(
    "envoy-mode-override",
    override,
    message,
    'Set "allow_mode_override: true": fewer messages and bodies are sent',
  );
}

function mutationWarnings(extProc: Tree, say: Say): void {
  const rules = extProc.get("mutation_rules");
  const missing = ["allow_all_routing", "allow_envoy", "disallow_is_error"].filter(
    (name) => rules.get(name).value !== true,
  );
  const refuses = ["disallow_all", "disallow_system"].filter((name) => rules.get(name).value === true);
  if (missing.length + refuses.length === 0) return;
  const what = [...missing.map((name) => `${name} is not true`), ...refuses.map((name) => `${name} is true`)];
  const message = `Envoy leaves changes of policies out: in mutation_rules ${what.join(", ")}`;
  const hint =
    'Use "mutation_rules: { allow_all_routing: true, allow_envoy: true, disallow_is_error: true }"';
  say("envoy-mutation-rules", rules, message, hint);
}
