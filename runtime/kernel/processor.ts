import type { StreamAcceptor } from "../transport/transport.ts";
import { ExchangeStream, type StreamContext } from "./stream.ts";

/** The gRPC path of ext_proc. */
export const PROCESS_METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/** Makes the acceptor that serves {@link PROCESS_METHOD}. */
export function createProcessor(context: StreamContext): StreamAcceptor {
  return (metadata, out) => new ExchangeStream(context, { metadata, out });
}
