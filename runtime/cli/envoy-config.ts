import { stringify } from "yaml";
import { type EngineTls, tlsSocket } from "./tls-socket.ts";

/** What the generated Envoy configuration is made from. Addresses are `host:port` or `unix:/path`. */
export interface EnvoyConfigOptions {
  /** Where the engine serves ext_proc, as Envoy reaches it. */
  readonly extProc: string;
  /** Where Envoy takes requests. */
  readonly listen: string;
  /** Where Envoy sends them. */
  readonly upstream: string;
  /** Envoy's own administration interface. */
  readonly admin: string;
  /** The keys of the engine's routes; each becomes an Envoy route of that name. */
  readonly routes: readonly string[];
  /** How long Envoy waits for the answer to one message, in milliseconds. Default: 1000. */
  readonly messageTimeoutMs?: number;
  /**
   * What Envoy sends unless an answer says otherwise. `wide` sends headers, buffered bodies and trailers, and
   * still enforces everything where overrides are forbidden; `narrow` sends the request's headers only and
   * relies on overrides. Default: `wide`.
   */
  readonly base?: "wide" | "narrow";
  /** The largest body Envoy buffers for a policy, in bytes. Default: 10 MiB, as `limits.bodyBytes`. */
  readonly bodyBytes?: number;
  /** A dynamic metadata namespace that names the route, as `routeKey.metadataNamespace`. */
  readonly metadataNamespace?: string;
  /** The dynamic metadata namespace in which denials say why, as `denials.metadataNamespace`. */
  readonly denialsNamespace?: string;
  /** What TLS to the engine needs, as `extProc.tls` has it. Default: cleartext. */
  readonly tls?: EngineTls;
}

const TYPES = "type.googleapis.com/envoy.extensions";
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const DEFAULT_BODY_BYTES = 10 * 1024 * 1024;
const DEFAULT_MESSAGE_TIMEOUT_MS = 1000;
/** Envoy holds one stream to the engine for the life of a request: its default of 1024 would be a ceiling. */
const MAX_REQUESTS = 65_536;
const MAX_CONNECTIONS = 4096;
/** Namespaces in which policies may leave dynamic metadata for Envoy's filters and access log. */
const RECEIVING_NAMESPACES = ["policy_engine"];

const HEADER = `# An Envoy configuration for policy-engine. What you adapt: the matches of the routes (an Envoy route's
# name is the key of the engine's route), the listener (TLS) and the cluster "upstream".
`;

/** The configuration as YAML, with a note on what to adapt. */
export function renderEnvoyConfig(options: EnvoyConfigOptions): string {
  return HEADER + stringify(envoyConfig(options), { aliasDuplicateObjects: false, lineWidth: 0 });
}

/**
 * A complete Envoy configuration that sends every request through the engine.
 * @throws {RangeError} If an address is neither `host:port` nor `unix:/path`.
 */
export function envoyConfig(options: EnvoyConfigOptions): Record<string, unknown> {
  return {
    admin: { address: envoyAddress(options.admin) },
    static_resources: {
      listeners: [listener(options)],
      clusters: [engineCluster(options), upstreamCluster(options.upstream)],
    },
    layered_runtime: {
      layers: [
        {
          name: "static",
          // Envoy then half-closes a stream that it ends first, instead of resetting it.
          static_layer: { "envoy.reloadable_features.ext_proc_graceful_grpc_close": true },
        },
      ],
    },
  };
}

function listener(options: EnvoyConfigOptions): Record<string, unknown> {
  return {
    name: "ingress",
    address: envoyAddress(options.listen),
    per_connection_buffer_limit_bytes: options.bodyBytes ?? DEFAULT_BODY_BYTES,
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: "ingress",
              use_remote_address: true,
              // Without it `//api/%61dmin/../x` would be matched and policed as it came.
              normalize_path: true,
              merge_slashes: true,
              path_with_escaped_slashes_action: "UNESCAPE_AND_REDIRECT",
              upgrade_configs: [{ upgrade_type: "websocket" }],
              route_config: {
                name: "local",
                virtual_hosts: [{ name: "all", domains: ["*"], routes: envoyRoutes(options.routes) }],
              },
              http_filters: [
                { name: "envoy.filters.http.ext_proc", typed_config: extProcFilter(options) },
                {
                  name: "envoy.filters.http.router",
                  typed_config: { "@type": `${TYPES}.filters.http.router.v3.Router` },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

function extProcFilter(options: EnvoyConfigOptions): Record<string, unknown> {
  const { base = "wide", messageTimeoutMs = DEFAULT_MESSAGE_TIMEOUT_MS, metadataNamespace } = options;
  const received = new Set([...RECEIVING_NAMESPACES, options.denialsNamespace ?? []].flat());
  const wide = base === "wide";
  return {
    "@type": `${TYPES}.filters.http.ext_proc.v3.ExternalProcessor`,
    stat_prefix: "policy_engine",
    grpc_service: {
      envoy_grpc: { cluster_name: "policy_engine" },
      initial_metadata: [{ key: "x-route-name", value: "%ROUTE_NAME%" }],
    },
    failure_mode_allow: false,
    message_timeout: `${messageTimeoutMs / 1000}s`,
    processing_mode: {
      request_header_mode: "SEND",
      request_body_mode: wide ? "BUFFERED" : "NONE",
      request_trailer_mode: wide ? "SEND" : "SKIP",
      response_header_mode: wide ? "SEND" : "SKIP",
      response_body_mode: wide ? "BUFFERED" : "NONE",
      response_trailer_mode: wide ? "SEND" : "SKIP",
    },
    allow_mode_override: true,
    // A change that Envoy would not make must be an error, never left out in silence.
    mutation_rules: { allow_all_routing: true, allow_envoy: true, disallow_is_error: true },
    request_attributes: ["xds.route_name", "source.address"],
    metadata_options: {
      ...(metadataNamespace === undefined ? {} : { forwarding_namespaces: { untyped: [metadataNamespace] } }),
      receiving_namespaces: { untyped: [...received] },
    },
  };
}

/** A route for each key under a path of its name, then one for everything else, which the engine may not know. */
function envoyRoutes(keys: readonly string[]): Record<string, unknown>[] {
  const byLength = keys.toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1));
  return [
    ...byLength.map((key) => ({
      name: key,
      match: { path_separated_prefix: pathOf(key) },
      route: { cluster: "upstream" },
    })),
    { name: "unmatched", match: { prefix: "/" }, route: { cluster: "upstream" } },
  ];
}

function pathOf(key: string): string {
  const segments = key.split("/").filter((segment) => segment !== "");
  return `/${segments.map((segment) => encodeURIComponent(segment)).join("/")}`;
}

function engineCluster({ extProc, tls }: EnvoyConfigOptions): Record<string, unknown> {
  return {
    name: "policy_engine",
    connect_timeout: "1s",
    lb_policy: "LEAST_REQUEST",
    circuit_breakers: circuitBreakers(),
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
        explicit_http_config: {
          http2_protocol_options: {
            max_concurrent_streams: 1024,
            // A host that went away without a word is noticed, and its requests fail over or fail fast.
            connection_keepalive: { interval: "30s", timeout: "5s" },
          },
        },
      },
    },
    ...(tls && { transport_socket: tlsSocket(tls) }),
    ...endpoint("policy_engine", extProc),
  };
}

function upstreamCluster(address: string): Record<string, unknown> {
  return {
    name: "upstream",
    connect_timeout: "1s",
    circuit_breakers: circuitBreakers(),
    ...endpoint("upstream", address),
  };
}

function circuitBreakers(): Record<string, unknown> {
  return {
    thresholds: [
      {
        max_connections: MAX_CONNECTIONS,
        max_pending_requests: MAX_REQUESTS,
        max_requests: MAX_REQUESTS,
      },
    ],
  };
}

function endpoint(name: string, address: string): Record<string, unknown> {
  return {
    type: needsResolving(address) ? "STRICT_DNS" : "STATIC",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: envoyAddress(address) } }] }],
    },
  };
}

function needsResolving(address: string): boolean {
  if (address.startsWith("unix:")) return false;
  const { host } = splitAddress(address);
  return !host.includes(":") && !/^\d+(\.\d+){3}$/.test(host);
}

function envoyAddress(address: string): Record<string, unknown> {
  if (address.startsWith("unix:/")) return { pipe: { path: address.slice("unix:".length) } };
  const { host, port } = splitAddress(address);
  return { socket_address: { address: host, port_value: port } };
}

function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new RangeError(
      `Cannot use address ${JSON.stringify(address)}: it is not an address, "host:port" or "unix:/path" is needed`,
    );
  }
  return { host: match[1] ?? match[2] ?? "", port };
}
