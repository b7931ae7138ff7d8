import type { EngineConfig } from "./config/engine-config.ts";
import type { EngineLogger } from "./observability/log.ts";
import { createHttp2Transport } from "./transport/http2/server.ts";
import type { StreamAcceptor, Transport } from "./transport/transport.ts";

/** What a message of ext_proc holds beside a body: headers, of which Envoy takes 8 MiB at the very most. */
const MESSAGE_OVERHEAD_BYTES = 9 * 1024 * 1024;

/** The server that Envoy calls, as the configuration says. */
export function createExtProcTransport(
  { extProc, limits }: EngineConfig,
  { services, log }: { services: Readonly<Record<string, StreamAcceptor>>; log: EngineLogger },
): Transport {
  const { address, tls } = extProc;
  return createHttp2Transport({
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
  });
}
