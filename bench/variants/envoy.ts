// Envoy's configuration for each variant: the one that the engine generates, with what a variant needs changed.
import { envoyConfig } from "../../runtime/cli/envoy-config.ts";
import type { EnvoyBootstrap } from "../../test/helpers/envoy.ts";
import { ROUTE } from "../load/work.ts";
import type { EnvoyFilter, Variant } from "./variant.ts";
import type { TokenFacts } from "./variants.ts";

// biome-ignore lint/suspicious/noExplicitAny: a configuration that is reached into
type Tree = any;

interface EnvoyFacts extends TokenFacts {
  readonly upstreamPort: number;
  /** Where the processor listens; undefined: there is none. */
  readonly processorPort: number | undefined;
}

const FILTERS = "type.googleapis.com/envoy.extensions.filters.http";
/** A saturated machine must not turn a slow answer into an error. */
export const MESSAGE_TIMEOUT_MS = 60_000;
/** So many requests may be held open at one time, on a connection to the upstream each. */
const CONNECTIONS = 20_000;
const CACHED_TOKENS = 100;

/** What the peers are made for: nothing has to be narrowed by their answers. */
const HEADERS_ONLY = {
  request_header_mode: "SEND",
  response_header_mode: "SEND",
  request_body_mode: "NONE",
  response_body_mode: "NONE",
  request_trailer_mode: "SKIP",
  response_trailer_mode: "SKIP",
};

const LUA = `
function envoy_on_request(handle)
  handle:headers():replace("x-bench-request", handle:headers():get("x-client") or "none")
end
function envoy_on_response(handle)
  handle:headers():replace("x-bench-response", handle:headers():get("x-service") or "none")
end
`;

export function envoyFor(variant: Variant, facts: EnvoyFacts): EnvoyBootstrap {
  const config: Tree = envoyConfig({
    extProc: `127.0.0.1:${facts.processorPort ?? 1}`,
    listen: "127.0.0.1:0",
    admin: "127.0.0.1:0",
    upstream: `127.0.0.1:${facts.upstreamPort}`,
    routes: [ROUTE],
    messageTimeoutMs: MESSAGE_TIMEOUT_MS,
  });
  const { listeners, clusters } = config.static_resources;
  // The kernel's own spread over two workers differs from start to start.
  listeners[0].connection_balance_config = { exact_balance: {} };
  for (const cluster of clusters) {
    cluster.connect_timeout = "10s";
    cluster.circuit_breakers.thresholds[0].max_connections = CONNECTIONS;
  }
  const manager = listeners[0].filter_chains[0].filters[0].typed_config;
  // Exchanges that are held open must not end by Envoy's timeout of 15 s.
  for (const { route } of manager.route_config.virtual_hosts[0].routes) route.timeout = "0s";
  const [extProc, router] = manager.http_filters;
  const { processor, filter } = variant;
  if (processor.kind === "none") {
    manager.http_filters = [...(filter === undefined ? [] : [ownFilter(filter, facts)]), router];
    config.static_resources.clusters = clusters.filter(({ name }: Tree) => name === "upstream");
  } else if (processor.kind === "peer") {
    extProc.typed_config.processing_mode = HEADERS_ONLY;
  }
  return config;
}

function ownFilter(filter: EnvoyFilter, facts: EnvoyFacts): Tree {
  return {
    name: `envoy.filters.http.${filter}`,
    typed_config: OWN_FILTERS[filter](facts),
  };
}

const OWN_FILTERS: Readonly<Record<EnvoyFilter, (facts: EnvoyFacts) => Tree>> = {
  lua: () => ({ "@type": `${FILTERS}.lua.v3.Lua`, default_source_code: { inline_string: LUA } }),
  header_mutation: () => ({
    "@type": `${FILTERS}.header_mutation.v3.HeaderMutation`,
    mutations: {
      request_mutations: [mutation("x-bench-request", "%REQ(x-client)%")],
      response_mutations: [mutation("x-bench-response", "%RESP(x-service)%")],
    },
  }),
  jwt_authn: ({ issuer, audience, jwks }) => ({
    "@type": `${FILTERS}.jwt_authn.v3.JwtAuthentication`,
    providers: {
      bench: {
        issuer,
        audiences: [audience],
        local_jwks: { inline_string: jwks },
        forward: true,
        jwt_cache_config: { jwt_cache_size: CACHED_TOKENS },
      },
    },
    rules: [{ match: { prefix: "/" }, requires: { provider_name: "bench" } }],
  }),
};

function mutation(key: string, value: string): Tree {
  return { append: { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" } };
}
