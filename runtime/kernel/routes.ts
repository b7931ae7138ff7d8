// Which chain an exchange gets: the key of its route, then the state of that route in the snapshot.
import type { Chain } from "../chain/chain.ts";
import type { ReasonCode } from "../chain/denial.ts";
import type { Snapshot } from "../config/snapshot.ts";
import type { StreamMetadata } from "../transport/transport.ts";
import type { EnvoyMessage } from "./codec.ts";

/** The gRPC metadata that Envoy is configured to open streams with. A client cannot set it. */
const ROUTE_METADATA = "x-route-name";
const ROUTE_ATTRIBUTE = "xds.route_name";

/** The part of the configuration that says which chain an exchange gets. */
export interface RoutingConfig {
  readonly onUnknownRoute: "allow" | "deny";
  readonly onMissingRouteKey: "deny";
  /** The route of requests that name none. */
  readonly defaultRoute?: string | undefined;
  /** Where else the route's key may stand: in dynamic metadata that Envoy forwards. */
  readonly routeKey?: { readonly metadataNamespace: string; readonly metadataKey: string } | undefined;
}

/** What to do with an exchange: run a chain, let it pass, or refuse it. */
export type Routing =
  | { readonly kind: "chain"; readonly route: string; readonly chain: Chain }
  | { readonly kind: "pass"; readonly route: string }
  | { readonly kind: "refuse"; readonly route: string; readonly reason: ReasonCode };

/** Finds the chain for a stream's first message. A chain without steps is none. */
export function routeExchange(
  stream: { readonly metadata: StreamMetadata; readonly message: EnvoyMessage },
  context: { readonly snapshot: Snapshot | undefined; readonly config: RoutingConfig },
): Routing {
  const { snapshot, config } = context;
  if (snapshot === undefined) return { kind: "refuse", route: "", reason: "not_ready" };
  const key = routeKey(stream, config);
  const route = key ?? config.defaultRoute;
  if (route === undefined) return { kind: "refuse", route: "", reason: "missing_route_key" };
  const state = snapshot.lookup(route);
  if (state === undefined) {
    // A default route that is not there is a mistake or lost: it must not open what it stands for.
    if (key === undefined) return { kind: "refuse", route: "", reason: "missing_route_key" };
    return config.onUnknownRoute === "allow"
      ? { kind: "pass", route: "" }
      : { kind: "refuse", route: "", reason: "unknown_route" };
  }
  if (state.kind === "unavailable") return { kind: "refuse", route, reason: "route_unavailable" };
  return state.chain.steps.length === 0
    ? { kind: "pass", route }
    : { kind: "chain", route, chain: state.chain };
}

/** The key, from the first place that names one; an empty key counts as absent. */
function routeKey(
  { metadata, message }: { readonly metadata: StreamMetadata; readonly message: EnvoyMessage },
  { routeKey: custom }: RoutingConfig,
): string | undefined {
  return (
    metadata.get(ROUTE_METADATA) ||
    message.attribute(ROUTE_ATTRIBUTE) ||
    (custom && message.metadata(custom.metadataNamespace, custom.metadataKey)) ||
    undefined
  );
}
