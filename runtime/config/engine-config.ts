import type { LogLevel } from "@policy-engine/sdk";
import type { LogFormat } from "../observability/log.ts";
import type { Address } from "./address.ts";

/**
 * The engine's own configuration, `policy-engine.yaml`. It is read once, at start. Only `routes` must be there;
 * unknown keys are errors. Durations are written as a number and `ms`, `s`, `m` or `h` (`250ms`, `1.5s`), sizes
 * as bytes or with `KiB`, `MiB` or `GiB` (`10MiB`), addresses as `HOST:PORT` (`[::1]:9001` for IPv6, port 0 for
 * any free port) or as `unix:` and an absolute path. No two of the three addresses may be the same.
 */
export interface EngineConfig {
  /** The file it was read from, as it was named. */
  readonly file: string;
  readonly extProc: ExtProcConfig;
  readonly health: HealthConfig;
  readonly admin: AdminConfig;
  /**
   * `metadata`: facts about this engine for policies and conditions, such as `environment: staging`; strings
   * only. Default: none. Limit: 64 entries, 4,096 characters each.
   */
  readonly metadata: Readonly<Record<string, string>>;
  readonly routes: RoutesConfig;
  /**
   * `onUnknownRoute`: what happens to a request whose route has no entry in the routes: `allow` passes it
   * unchanged, `deny` answers 503. Default: `allow`.
   */
  readonly onUnknownRoute: "allow" | "deny";
  /**
   * `onMissingRouteKey`: what happens to a request that names no route. Only `deny` (503) is possible, and the
   * default; to serve such requests give them a route with `defaultRoute`.
   */
  readonly onMissingRouteKey: "deny";
  /**
   * `defaultRoute`: the route of requests that name none; while it is not configured they are answered 503.
   * Default: none. Cannot stand beside `onMissingRouteKey`. Limit: 1,024 characters.
   */
  readonly defaultRoute: string | undefined;
  readonly routeKey: RouteKeyConfig | undefined;
  readonly limits: LimitsConfig;
  readonly denials: DenialsConfig;
  readonly log: LogConfig;
}

/** `extProc`: the server that Envoy calls. */
export interface ExtProcConfig {
  /** `extProc.address`. Default: `0.0.0.0:9001`. A socket file gets mode 0600. */
  readonly address: Address;
  /**
   * `extProc.messageTimeout`: `message_timeout` of Envoy's filter, so that the engine can answer before Envoy
   * gives up. Default: `1s`. Limit: 10ms to 1h.
   */
  readonly messageTimeoutMs: number;
  readonly tls: TlsConfig | undefined;
}

/**
 * `extProc.tls`: makes the ext_proc server speak TLS 1.2 or later, to clients that agree on HTTP/2 by ALPN. The files are
 * in PEM, at most 1 MiB each, named relative to the configuration file (the paths here have been resolved against
 * it), and read again when they change. Default: none, cleartext HTTP/2.
 */
export interface TlsConfig {
  /**
   * `extProc.tls.certificate`: the server's certificate, and behind it those between it and a root. Required.
   */
  readonly certificate: string;
  /** `extProc.tls.key`: its private key, without a passphrase. Required. */
  readonly key: string;
  /**
   * `extProc.tls.clientCertificates`: certificates of authorities. Clients without a certificate of one of them are
   * refused (mutual TLS). Default: none, any client is served.
   */
  readonly clientCertificates: string | undefined;
}

/** `health`: the server for probes and metrics (`/health/live`, `/health/ready`, `/metrics`). */
export interface HealthConfig {
  /** `health.address`. Default: `0.0.0.0:9090`. */
  readonly address: Address;
}

/** `admin`: the server for operators. It asks nobody who they are: keep it on loopback. */
export interface AdminConfig {
  /** `admin.address`. Default: `127.0.0.1:9002`. */
  readonly address: Address;
}

/** `routes`: where the routes come from. */
export interface RoutesConfig {
  /**
   * `routes.path`: a file, or a folder whose `*.yaml`, `*.yml` and `*.json` files are read (not those of its
   * folders, and none whose name begins with a dot). Required. Relative to the configuration file; the path here
   * has been resolved against it.
   */
  readonly path: string;
  /** `routes.watch`: whether changes are noticed without a SIGHUP. Default: true. */
  readonly watch: boolean;
}

/**
 * `routeKey`: a place in Envoy's dynamic metadata that names the route, looked at after the stream's
 * `x-route-name` and the attribute `xds.route_name`. Default: none. Both keys are needed.
 */
export interface RouteKeyConfig {
  /** `routeKey.metadataNamespace`: such as `envoy.filters.http.header_to_metadata`. Limit: 256 characters. */
  readonly metadataNamespace: string;
  /** `routeKey.metadataKey`: the key in it. Limit: 256 characters. */
  readonly metadataKey: string;
}

/** `limits`: bounds, so that no input can take the engine down. */
export interface LimitsConfig {
  /** `limits.bodyBytes`: largest body of one request or response. Default: `10MiB`. Limit: 1KiB to 1GiB. */
  readonly bodyBytes: number;
  /**
   * `limits.bodyMemory`: what all bodies held at one time may take, not less than `bodyBytes`.
   * Default: `256MiB`. Limit: 1KiB to 64GiB.
   */
  readonly bodyMemory: number;
  /** `limits.bodyWait`: how long a body may take to arrive. Default: `30s`. Limit: 10ms to 1h. */
  readonly bodyWaitMs: number;
  /** `limits.createTimeout`: how long one `getPolicy` may take. Default: `10s`. Limit: 10ms to 10m. */
  readonly createTimeoutMs: number;
  /** `limits.shutdownTimeout`: how long streams may go on after SIGTERM. Default: `20s`. Limit: 0s to 1h. */
  readonly shutdownTimeoutMs: number;
  /**
   * `limits.routeFileBytes`: largest route file, and what all files of a folder may have together.
   * Default: `16MiB`. Limit: 1KiB to 256MiB.
   */
  readonly routeFileBytes: number;
  /** `limits.routeFiles`: most route files in a folder. Default: 256. Limit: 1 to 10,000. */
  readonly routeFiles: number;
  /** `limits.routes`: most routes. Default: 10,000. Limit: 1 to 1,000,000. */
  readonly routes: number;
  /** `limits.policiesPerRoute`: most policies of one route. Default: 100. Limit: 1 to 1,000. */
  readonly policiesPerRoute: number;
  /** `limits.connections`: most connections to the ext_proc server. Default: 10,000. Limit: 1 to 100,000. */
  readonly connections: number;
  /**
   * `limits.streams`: most exchanges at once on one connection; Envoy opens another one before it meets it.
   * Default: 100,000. Limit: 100 to 1,000,000.
   */
  readonly streams: number;
  /**
   * `limits.streamsPerSecond`: most streams that a client may open on one connection in a second; 0 for any number.
   * Default: 0, as an Envoy that can be trusted opens one for each request. Limit: 0 to 10,000,000.
   */
  readonly streamsPerSecond: number;
  /**
   * `limits.resetsPerSecond`: most streams that a client may reset on one connection in a second; 0 for any number.
   * Default: 0, as Envoy ends streams by a reset. Limit: 0 to 10,000,000.
   */
  readonly resetsPerSecond: number;
}

/** `denials`: how answers in the place of the upstream's look. */
export interface DenialsConfig {
  /**
   * `denials.format`: the body of an answer of the engine's own, with its reason code and error id: `text` (both,
   * a blank between them) or `problem` (JSON as of RFC 9457). Policies' answers are as the policies give them.
   * Default: `text`.
   */
  readonly format: "text" | "problem";
  /**
   * `denials.metadataNamespace`: a namespace of Envoy's dynamic metadata, which Envoy has to receive, in which
   * every denial leaves `outcome`, `reason`, `policy`, `version` and `error_id`, and an exchange that a failing
   * policy was left out of leaves `failed_open`. Default: none. Limit: 256 characters.
   */
  readonly metadataNamespace: string | undefined;
}

/** `log`: the engine's log, on standard output. */
export interface LogConfig {
  /** `log.level`: `debug`, `info`, `warn` or `error`, until it is changed on the admin port. Default: `info`. */
  readonly level: LogLevel;
  /**
   * `log.format`: `json` (an object a line), `text` (for people) or `auto`, which is `text` where standard output
   * is a terminal and else `json`. Default: `auto`.
   */
  readonly format: LogFormat | "auto";
  /**
   * `log.sampleRate`: the share of exchanges of which a line is written at `info`; at `debug` all have one.
   * Default: 0. Limit: 0 to 1.
   */
  readonly sampleRate: number;
}
