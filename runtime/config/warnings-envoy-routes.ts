import type { Problem } from "../document/problem.ts";
import type { Tree } from "../document/tree.ts";
import type { EngineConfig } from "./engine-config.ts";
import type { EnvoyFilter } from "./envoy-filters.ts";
import type { WarningReporter } from "./warning.ts";

interface Judge {
  readonly config: EngineConfig;
  /** Keys of the routes that are configured. */
  readonly routes: ReadonlySet<string>;
  readonly warn: WarningReporter;
}

/** What keeps requests from the policies of their route, or facts about them from the policies. */
export function routingWarnings(filter: EnvoyFilter, judge: Judge): Problem[] {
  return [
    ...keyWarnings(filter, judge),
    ...addressWarnings(filter, judge),
    ...pathWarnings(filter, judge),
    ...routeWarnings(filter, judge),
  ];
}

function keyWarnings({ config: extProc }: EnvoyFilter, { config, warn }: Judge): Problem[] {
  const { routeKey, defaultRoute } = config;
  const sent = extProc.at("grpc_service", "initial_metadata").items();
  const namespaces = extProc.at("metadata_options", "forwarding_namespaces", "untyped").value;
  const told =
    sent.some((header) => header.get("key").value === "x-route-name") ||
    listed(extProc.get("request_attributes").value, "xds.route_name") ||
    (routeKey !== undefined && listed(namespaces, routeKey.metadataNamespace));
  if (told || defaultRoute !== undefined) return [];
  const message = "Every request is refused: the filter does not tell the engine its route";
  const hint =
    'Send "initial_metadata: [{ key: x-route-name, value: \\"%ROUTE_NAME%\\" }]" in "grpc_service"';
  return [warn("envoy-no-route-key", { pointer: extProc.get("grpc_service").pointer, message, hint })];
}

function addressWarnings({ config: extProc, connectionManager }: EnvoyFilter, { warn }: Judge): Problem[] {
  const attributes = extProc.get("request_attributes");
  if (!listed(attributes.value, "source.address")) {
    const message = "Policies do not learn the client's address: request_attributes has no source.address";
    const hint = 'Add "source.address" to "request_attributes"';
    return [warn("envoy-no-client-address", { pointer: attributes.pointer, message, hint })];
  }
  const own = connectionManager.get("use_remote_address");
  const hops = connectionManager.get("xff_num_trusted_hops").value;
  const detected = connectionManager.get("original_ip_detection_extensions").items().length > 0;
  if (own.value === true || detected || (typeof hops === "number" && hops > 0)) return [];
  const message =
    "Clients can choose the address that policies decide by: Envoy takes the last one of x-forwarded-for";
  const hint = 'Set "use_remote_address: true", with "xff_num_trusted_hops" where proxies stand in front';
  return [warn("envoy-address-from-header", { pointer: own.pointer, message, hint })];
}

function pathWarnings({ connectionManager }: EnvoyFilter, { warn }: Judge): Problem[] {
  const missing = ["normalize_path", "merge_slashes"].filter(
    (name) => connectionManager.get(name).value !== true,
  );
  const slashes = connectionManager.get("path_with_escaped_slashes_action").value;
  const decided = ["UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD", "REJECT_REQUEST"].includes(
    String(slashes),
  );
  if (!decided) missing.push("path_with_escaped_slashes_action");
  if (missing.length === 0) return [];
  const message = `Envoy chooses the route by another path than policies decide by: it does not normalise it by ${missing.join(", ")}`;
  const hint =
    'Use "normalize_path: true", "merge_slashes: true", "path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT"';
  return [warn("envoy-path-normalisation", { pointer: connectionManager.pointer, message, hint })];
}

function routeWarnings(filter: EnvoyFilter, { config, routes, warn }: Judge): Problem[] {
  const found: Problem[] = [];
  const without = (at: Tree, what: string): void => {
    const message = `The engine never sees requests of ${what}: the filter is disabled there`;
    const hint = "Enable it; a route without policies passes unchanged";
    found.push(warn("envoy-route-without-filter", { pointer: at.pointer, message, hint }));
  };
  if (filter.entry.get("disabled").value === true) without(filter.entry.get("disabled"), "all routes");
  for (const host of filter.connectionManager.at("route_config", "virtual_hosts").items()) {
    const off = disabledIn(host, filter.name);
    if (off !== undefined) without(off, `the virtual host ${JSON.stringify(host.get("name").value)}`);
    for (const route of host.get("routes").items()) {
      const name = route.get("name").value;
      if (typeof name !== "string" || name === "") {
        if (config.defaultRoute !== undefined) continue;
        const message = "Requests of this route are refused: it has no name to find policies by";
        const hint = "Give it a name; it is the key of the engine's route";
        found.push(warn("envoy-unnamed-route", { pointer: route.pointer, message, hint }));
        continue;
      }
      const disabled = disabledIn(route, filter.name);
      if (disabled !== undefined && routes.has(name)) without(disabled, `route ${JSON.stringify(name)}`);
    }
  }
  return found;
}

/** Where a route or a virtual host switches the filter off, in either of Envoy's two forms. */
function disabledIn(owner: Tree, filter: string): Tree | undefined {
  // Not by `get`: a filter's name is no name of a field.
  for (const [name, override] of owner.get("typed_per_filter_config").members()) {
    const disabled = override.get("disabled");
    if (name === filter && disabled.value === true) return disabled;
  }
  return undefined;
}

function listed(list: unknown, item: string): boolean {
  return Array.isArray(list) && list.includes(item);
}
