import { Tree } from "../document/tree.ts";

/** One ext_proc filter of an Envoy configuration, and what stands around it. */
export interface EnvoyFilter {
  /** The name that routes refer to it by. */
  readonly name: string;
  /** The entry of `http_filters`. */
  readonly entry: Tree;
  /** The filter's own configuration. */
  readonly config: Tree;
  readonly connectionManager: Tree;
  readonly listener: Tree;
}

/** The name of a cluster that is surely this engine, as `envoy-config` writes it. */
const OWN_CLUSTER = "policy_engine";

/** The ext_proc filters that call this engine; all that there are where none can be told to. */
export function envoyFilters(bootstrap: unknown, port: number | undefined): EnvoyFilter[] {
  const root = new Tree(bootstrap);
  const all = root.at("static_resources", "listeners").items().flatMap(filtersOf);
  const own = new Set([OWN_CLUSTER, ...clustersOn(root, port)]);
  const ours = all.filter(({ config }) =>
    own.has(String(config.at("grpc_service", "envoy_grpc", "cluster_name").value)),
  );
  return ours.length > 0 ? ours : all;
}

function filtersOf(listener: Tree): EnvoyFilter[] {
  const chains = [...listener.get("filter_chains").items(), listener.get("default_filter_chain")];
  return chains
    .flatMap((chain) => chain.get("filters").items())
    .map((filter) => filter.get("typed_config"))
    .filter((config) => isOfType(config, "HttpConnectionManager"))
    .flatMap((connectionManager) =>
      connectionManager
        .get("http_filters")
        .items()
        .filter((entry) => isOfType(entry.get("typed_config"), "ExternalProcessor"))
        .map((entry): EnvoyFilter => {
          const config = entry.get("typed_config");
          return { name: String(entry.get("name").value), entry, config, connectionManager, listener };
        }),
    );
}

/** Clusters with an endpoint on the engine's port: hosts have many names. */
function clustersOn(root: Tree, port: number | undefined): string[] {
  if (port === undefined || port === 0) return [];
  return root
    .at("static_resources", "clusters")
    .items()
    .filter((cluster) =>
      cluster
        .at("load_assignment", "endpoints")
        .items()
        .flatMap((locality) => locality.get("lb_endpoints").items())
        .some((each) => each.at("endpoint", "address", "socket_address", "port_value").value === port),
    )
    .map((cluster) => String(cluster.get("name").value));
}

function isOfType(config: Tree, name: string): boolean {
  const type = config.get("@type").value;
  return typeof type === "string" && type.endsWith(`.${name}`);
}

/** A duration of Protobuf's JSON, such as `0.25s`, in milliseconds; the given one where there is none. */
export function durationOf(tree: Tree, standard: number): number {
  const match = /^(\d{1,12}(?:\.\d{1,9})?)s$/.exec(String(tree.value));
  return match === null ? standard : Number(match[1]) * 1_000;
}
