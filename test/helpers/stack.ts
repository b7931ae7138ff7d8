import { envoyConfig } from "../../runtime/cli/envoy-config.ts";
import { type EngineOptions, type RunningEngine, startEngine } from "./engine.ts";
import { type RunningEnvoy, startEnvoy } from "./envoy.ts";
import { type ClientRequest, type ClientResponse, request } from "./http.ts";
import { startUpstream, type Upstream } from "./upstream.ts";

/** What Envoy sends to the engine; `forbidden` is the wide base that no answer may override. */
export type Base = "wide" | "narrow" | "forbidden";

export interface StackOptions extends EngineOptions {
  /** Default: `wide`. */
  readonly base?: Base;
  /** Envoy routes beside those of the engine's route list. */
  readonly envoyRoutes?: readonly string[];
  /** Changes the generated Envoy configuration: the connection manager and the ext_proc filter in it. */
  readonly envoy?: (parts: EnvoyParts) => void;
}

// biome-ignore lint/suspicious/noExplicitAny: a configuration that tests reach into
type Tree = any;

export interface EnvoyParts {
  readonly bootstrap: Tree;
  readonly connectionManager: Tree;
  readonly extProc: Tree;
}

/** Envoy in front, the engine beside it, an upstream behind. */
export class Stack {
  readonly engine: RunningEngine;
  readonly envoy: RunningEnvoy;
  readonly upstream: Upstream;

  constructor(parts: { engine: RunningEngine; envoy: RunningEnvoy; upstream: Upstream }) {
    this.engine = parts.engine;
    this.envoy = parts.envoy;
    this.upstream = parts.upstream;
  }

  /** Sends one request through Envoy on a connection of its own. */
  request(options: ClientRequest): Promise<ClientResponse> {
    return request(this.envoy.port, options);
  }

  get(path: string, headers: ClientRequest["headers"] = []): Promise<ClientResponse> {
    return this.request({ path, headers });
  }

  async stop(): Promise<void> {
    await Promise.all([this.envoy.stop(), this.upstream.stop()]);
    await this.engine.stop();
  }
}

/** Starts all three. A route `orders` is reached at `/orders` and below; any other path is route `unmatched`. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const upstream = await startUpstream();
  const engine = await startEngine(options).catch(async (error: unknown) => {
    await upstream.stop();
    throw error;
  });
  try {
    const envoy = await startEnvoyFor({ engine, upstream }, options);
    return new Stack({ engine, envoy, upstream });
  } catch (error) {
    await Promise.all([engine.stop(), upstream.stop()]);
    throw error;
  }
}

/** Starts one more Envoy in front of an engine, say with another base. */
export function startEnvoyFor(
  { engine, upstream }: { engine: RunningEngine; upstream: Upstream },
  options: Pick<StackOptions, "routes" | "base" | "envoyRoutes" | "envoy">,
): Promise<RunningEnvoy> {
  const { routes, base = "wide", envoyRoutes = [] } = options;
  const keys = typeof routes === "string" ? [] : routes.map(({ route }) => route);
  const config = envoyConfig({
    extProc: engine.extProc,
    listen: "127.0.0.1:0",
    admin: "127.0.0.1:0",
    upstream: upstream.address,
    routes: [...new Set([...keys, ...envoyRoutes])],
    base: base === "narrow" ? "narrow" : "wide",
    ...(engine.tls && { tls: engine.tls }),
    // A machine under load must not turn a decision into a timeout.
    messageTimeoutMs: 10_000,
  });
  const bootstrap: Tree = config;
  const connectionManager = bootstrap.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const extProc = connectionManager.http_filters[0].typed_config;
  if (base === "forbidden") extProc.allow_mode_override = false;
  for (const route of connectionManager.route_config.virtual_hosts[0].routes) {
    // Which Envoy route answered in the end, so that a test sees a reroute.
    route.response_headers_to_add = [{ header: { key: "x-envoy-route", value: route.name } }];
  }
  options.envoy?.({ bootstrap, connectionManager, extProc });
  return startEnvoy({ config });
}
