import type { EngineConfig } from "./config/engine-config.ts";
import { StartError } from "./listen-error.ts";
import type { EngineLogger } from "./observability/log.ts";
import { createGrpcTransport } from "./transport/grpc.ts";
import { createHttp2Transport, type Http2TransportSettings } from "./transport/http2/server.ts";
import type { StreamAcceptor, Transport } from "./transport/transport.ts";

/** What a message of ext_proc holds beside a body: headers, of which Envoy takes 8 MiB at the very most. */
const MESSAGE_OVERHEAD_BYTES = 9 * 1024 * 1024;

/**
 * The server that Envoy calls, as the configuration says.
 * @throws {StartError} If there is no server that can do what it says.
 */
export function createExtProcTransport(
  { extProc, limits }: EngineConfig,
  { services, log }: { services: Readonly<Record<string, StreamAcceptor>>; log: EngineLogger },
): Transport {
  const { address, tls } = extProc;
  const settings: Http2TransportSettings = {
    address,
    services,
    log,
    maxMessageBytes: limits.bodyBytes + MESSAGE_OVERHEAD_BYTES,
    limits: {
      maxConnections: limits.connections,
      maxStreams: limits.streams,
      streamsPerSecond: limits.streamsPerSecond || Number.POSITIVE_INFINITY,
      resetsPerSecond: limits.resetsPerSecond || Number.POSITIVE_INFINITY,
    },
    ...(tls && { tls }),
  };
  // For comparisons, until there is only one.
  if (process.env.POLICY_ENGINE_TRANSPORT !== "grpc-js") return createHttp2Transport(settings);
  if (tls === undefined) return createGrpcTransport(settings);
  throw new StartError("Cannot serve with TLS: grpc-js was asked for, which serves without it");
}
