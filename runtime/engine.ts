// The composition root: makes the rooms and joins them. It starts from the outside in, so that probes are answered
// from the first moment, and stops the other way round, so that nothing is taken away from an exchange.
import { type AdminSources, adminPages, type EngineStatus } from "./admin/admin-pages.ts";
import { createGrpcHealth, type GrpcHealth } from "./admin/grpc-health.ts";
import { healthPages, type Readiness } from "./admin/health-pages.ts";
import type { HttpPages, HttpServer } from "./admin/http-server.ts";
import { bodySettings } from "./chain/exchange-bodies.ts";
import { messageBudget } from "./chain/message-budget.ts";
import type { EngineConfig } from "./config/engine-config.ts";
import { FileSource } from "./config/file-source.ts";
import { SnapshotStore } from "./config/snapshot-store.ts";
import { createExtProcTransport } from "./ext-proc-transport.ts";
import { isLoopback, startHttpOn } from "./http-on-address.ts";
import { createProcessor, PROCESS_METHOD } from "./kernel/processor.ts";
import { listenError, StartError } from "./listen-error.ts";
import { createEngineMetrics, type EngineMetrics } from "./observability/engine-metrics.ts";
import { ExchangeLog } from "./observability/exchange-log.ts";
import type { EngineLogger } from "./observability/log.ts";
import { type BuildInfo, PolicyRegistry, type RegistryEntry } from "./policy/registry.ts";
import { TlsFilesError } from "./transport/http2/certificates.ts";
import { formatAddress, type ListenAddress } from "./transport/listen-address.ts";
import type { Transport } from "./transport/transport.ts";
import { untilAborted, within } from "./waiting.ts";

/** What an engine is made of, beside its configuration. */
export interface EngineOptions {
  readonly policies: readonly RegistryEntry[];
  readonly build: BuildInfo;
  readonly log: EngineLogger;
  /** Default: new ones. */
  readonly metrics?: EngineMetrics;
  /** Gives up the start. After the start it does nothing: use `stop`. */
  readonly signal?: AbortSignal;
}

/** An engine at work. */
export interface Engine {
  readonly addresses: EngineAddresses;
  /** Reads the routes and the certificates again. Never rejects: what is wrong is logged. */
  reload(): Promise<void>;
  /** Takes no more streams, lets those in flight finish for `limits.shutdownTimeout`, closes the policies. */
  stop(): Promise<void>;
}

/** Where an engine listens: `host:port` with the real port, or `unix:/path`. */
export interface EngineAddresses {
  readonly extProc: string;
  readonly health: string;
  readonly admin: string;
}

/** How long a reload may take to end, and then policies to close: they may be waiting for a network. */
const CLOSE_TIMEOUT_MS = 3_000;

/**
 * Starts an engine; it serves when the promise resolves.
 * @throws {StartError} If it cannot listen.
 * @throws {ConfigurationError} If its routes cannot be used at all. Nothing is left running in both cases.
 */
export async function startEngine(config: EngineConfig, options: EngineOptions): Promise<Engine> {
  const engine = new EngineRun(config, options);
  try {
    await engine.start();
    return engine;
  } catch (error) {
    await engine.stop();
    throw error;
  }
}

class EngineRun implements Engine {
  readonly #config: EngineConfig;
  readonly #options: EngineOptions;
  readonly #log: EngineLogger;
  readonly #metrics: EngineMetrics;
  readonly #startedAt = performance.now();
  readonly #addresses = { extProc: "", health: "", admin: "" };
  #registry: PolicyRegistry | undefined;
  #store: SnapshotStore | undefined;
  #source: FileSource | undefined;
  #transport: Transport | undefined;
  readonly #grpcHealth: GrpcHealth = createGrpcHealth({
    services: [PROCESS_METHOD.split("/")[1]!],
    isServing: () => this.#readiness() === "ready",
  });
  #health: HttpServer | undefined;
  #admin: HttpServer | undefined;
  #started = false;
  #stopping: Promise<void> | undefined;

  constructor(config: EngineConfig, options: EngineOptions) {
    this.#config = config;
    this.#options = options;
    this.#log = options.log;
    this.#metrics = options.metrics ?? createEngineMetrics();
  }

  get addresses(): EngineAddresses {
    return this.#addresses;
  }

  async start(): Promise<void> {
    const { policies, build, signal } = this.#options;
    const log = this.#log;
    this.#health = await this.#serveHttp(
      "health",
      healthPages({ readiness: () => this.#readiness(), metrics: this.#metrics }),
    );
    const registry = await PolicyRegistry.load(policies, { build, log: log.child({ component: "policy" }) });
    this.#registry = registry;
    signal?.throwIfAborted();
    this.#store = this.#createStore(registry);
    this.#admin = await this.#serveHttp("admin", adminPages(this.#adminSources(registry)));
    this.#transport = await this.#serveExtProc(this.#store);
    signal?.throwIfAborted();
    await this.#startSource(this.#store);
    this.#metrics.workerHealth.set(1);
    this.#started = true;
    log.info("Ready", { ...this.#addresses });
  }

  async reload(): Promise<void> {
    try {
      await Promise.all([this.#source?.reload(), this.#transport?.reloadCertificates?.()]);
    } catch (error) {
      this.#log.error("Cannot read the routes again", { error });
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#metrics.workerHealth.set(0);
    // A reload at work may wait for a policy that is being created; Envoy's streams do not wait for that.
    const sourceStopped = this.#source?.stop();
    this.#grpcHealth.stop();
    await this.#attempt("stop the gRPC server", this.#transport?.stop(this.#config.limits.shutdownTimeoutMs));
    await this.#attempt("stop reading routes", within(CLOSE_TIMEOUT_MS, sourceStopped));
    await this.#attempt("close the policies", within(CLOSE_TIMEOUT_MS, this.#store?.close()));
    await this.#attempt("stop the admin server", this.#admin?.stop());
    await this.#attempt("stop the health server", this.#health?.stop());
    this.#log.flush();
    if (this.#started) this.#log.info("Stopped");
  }

  #readiness(): Readiness {
    if (this.#stopping !== undefined) return "stopping";
    if (this.#store === undefined || this.#transport === undefined) return "starting";
    return this.#store.current === undefined ? "no_configuration" : "ready";
  }

  #createStore(registry: PolicyRegistry): SnapshotStore {
    const { build } = this.#options;
    const log = this.#log.child({ component: "config" });
    return new SnapshotStore({ registry, config: this.#config, build, log, metrics: this.#metrics });
  }

  async #serveExtProc(store: SnapshotStore): Promise<Transport> {
    const { extProc, limits } = this.#config;
    const log = this.#log.child({ component: "kernel" });
    const accept = createProcessor({
      store,
      config: this.#config,
      bodies: bodySettings(limits, this.#metrics.bodyMemory),
      bodyWaitMs: limits.bodyWaitMs,
      denials: this.#config.denials,
      exchanges: new ExchangeLog(log, this.#config.log.sampleRate),
      budget: messageBudget(extProc.messageTimeoutMs),
      log,
      metrics: this.#metrics,
    });
    const services = { [PROCESS_METHOD]: accept, ...this.#grpcHealth.services };
    const transport = createExtProcTransport(this.#config, { services, log });
    this.#log.info(`Starting gRPC server on ${shortAddress(extProc.address)}`);
    try {
      this.#addresses.extProc = await transport.listen();
    } catch (error) {
      await transport.stop(0);
      if (error instanceof TlsFilesError) throw new StartError(error.message, { cause: error });
      throw listenError("gRPC", extProc.address.text, error);
    }
    return transport;
  }

  async #serveHttp(server: "health" | "admin", pages: HttpPages): Promise<HttpServer> {
    const { address } = this.#config[server];
    const log = this.#log.child({ component: "admin" });
    const local = isLoopback(address);
    if (server === "admin" && !local) {
      log.warn("The admin server can be reached from other machines and asks nobody who they are", {
        address: address.text,
      });
    }
    const common = { pages, log, localHostsOnly: server === "admin" && local && address.kind === "tcp" };
    try {
      const started = await startHttpOn(address, common);
      this.#addresses[server] = started.address;
      return started;
    } catch (error) {
      throw listenError(server, address.text, error);
    }
  }

  async #startSource(store: SnapshotStore): Promise<void> {
    const { signal } = this.#options;
    const { routes, limits } = this.#config;
    const log = this.#log.child({ component: "config" });
    const source = new FileSource({ ...routes, limits, store, log });
    this.#source = source;
    await untilAborted(source.start(), signal);
  }

  #adminSources(registry: PolicyRegistry): AdminSources {
    return {
      status: () => this.#status(),
      config: () => ({ engine: dumpConfig(this.#config), routes: this.#store?.dump() ?? [] }),
      policies: () => registry.list(),
      log: this.#log.child({ component: "admin" }),
    };
  }

  #status(): EngineStatus {
    return {
      readiness: this.#readiness(),
      uptimeSeconds: Math.round((performance.now() - this.#startedAt) / 1_000),
      build: this.#options.build,
      addresses: this.#addresses,
      configuration: this.#store?.status(),
      policies: this.#registry?.list().length ?? 0,
      streamsActive: this.#metrics.streamsActive.value,
    };
  }

  /** One thing that cannot be stopped does not keep the others from it. */
  async #attempt(action: string, work: Promise<unknown> | undefined): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#log.error(`Cannot ${action}`, { error });
    }
  }
}

/** Addresses as they are written, without what was read out of them. The file has no secrets. */
function dumpConfig(config: EngineConfig): unknown {
  const { extProc, health, admin } = config;
  return {
    ...config,
    extProc: { ...extProc, address: extProc.address.text },
    health: { ...health, address: health.address.text },
    admin: { ...admin, address: admin.address.text },
  };
}

/** As the source documents write it: `:9001` where it listens everywhere. */
function shortAddress(address: ListenAddress): string {
  const everywhere = address.kind === "tcp" && (address.host === "0.0.0.0" || address.host === "::");
  return everywhere ? `:${address.port}` : formatAddress(address);
}
