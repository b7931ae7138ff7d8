// A server for clients of other makes: it echoes, and does what `x-do` asks for.
import { createGrpcHealth } from "../../runtime/admin/grpc-health.ts";
import { createLogger } from "../../runtime/observability/log.ts";
import { createHttp2Transport, type Http2TransportSettings } from "../../runtime/transport/http2/server.ts";
import type { ListenAddress } from "../../runtime/transport/listen-address.ts";
import type { StreamAcceptor, Transport } from "../../runtime/transport/transport.ts";

export const INTEROP = "/test.Interop/Echo";
export const LARGEST_MESSAGE = 4 * 1024 * 1024;
export const FAILURE = "nöt 100% good\n";
const GRACE_MS = 60_000;

export interface InteropServer {
  readonly transport: Transport;
  readonly address: string;
  /** Calls that ended, well or not. */
  ended: number;
  /** Calls that began. */
  begun: number;
  /** Settled when a client's wish to stop is fulfilled; undefined if there was none. */
  stopped: Promise<void> | undefined;
}

const LOOPBACK: ListenAddress = { kind: "tcp", host: "127.0.0.1", port: 0 };

export async function startInteropServer(
  options: Partial<Http2TransportSettings> = {},
  create: (settings: Http2TransportSettings) => Transport = createHttp2Transport,
): Promise<InteropServer> {
  const accept: StreamAcceptor = (metadata, out) => {
    const wish = metadata.get("x-do") ?? "";
    server.begun++;
    return {
      message: (bytes, start, end) => {
        if (wish === "nothing") return;
        if (wish === "fail") return out.fail(FAILURE);
        if (wish.startsWith("tell ")) return out.send(Buffer.from(metadata.get(wish.slice(5)) ?? "none"));
        if (wish === "stop") server.stopped ??= server.transport.stop(GRACE_MS);
        out.send(bytes.subarray(start, end));
        if (wish === "answer and fail") out.fail(FAILURE);
      },
      halfClose: () => out.end(),
      cancel: () => void server.ended++,
    };
  };
  const health = createGrpcHealth({ services: ["test.Interop"], isServing: () => true });
  const transport = create({
    address: LOOPBACK,
    services: { [INTEROP]: accept, ...health.services },
    maxMessageBytes: LARGEST_MESSAGE,
    log: createLogger({ level: "error", format: "text", write: (line) => process.stderr.write(`${line}\n`) }),
    ...options,
  });
  const server: InteropServer = { transport, address: "", begun: 0, ended: 0, stopped: undefined };
  return Object.assign(server, { address: await transport.listen() });
}
