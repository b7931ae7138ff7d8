// The engine's transport as it was on grpc-js, to compare with.
import type { ServerHttp2Session } from "node:http2";
import * as grpc from "@grpc/grpc-js";
import type { Http2TransportSettings } from "../../runtime/transport/http2/server.ts";
import {
  claimSocket,
  formatAddress,
  type ListenAddress,
  withPrivateFiles,
} from "../../runtime/transport/listen-address.ts";
import type {
  IncomingStream,
  OutgoingStream,
  StreamAcceptor,
  Transport,
} from "../../runtime/transport/transport.ts";

/**
 * Envoy resets every ext_proc stream at its end. The HTTP/2 server's guard against rapid resets would take that
 * for an attack and close the connection after a thousand exchanges; the peer is a trusted Envoy.
 */
const NO_RESET_LIMIT = { streamResetBurst: 1e9, streamResetRate: 1e9 };
/** Above what one Envoy opens (it limits itself), so that the limit is never what an exchange fails by. */
const MAX_CONCURRENT_STREAMS = 1_000_000;

/** What a gRPC server is made of. */
export type GrpcTransportSettings = Pick<
  Http2TransportSettings,
  "address" | "services" | "maxMessageBytes" | "log"
>;

/** For each stream whose receiver waits for its end, how to tell it. */
type OpenCalls = Set<() => void>;

/** A transport over cleartext HTTP/2 (h2c) on a TCP or a Unix socket; the socket's file has mode 0600. */
export function createGrpcTransport(settings: GrpcTransportSettings): Transport {
  const { log } = settings;
  // What it says to standard error by itself, `listen` throws as well.
  grpc.setLogger({ error: (...parts: unknown[]) => log.debug("grpc-js", { text: parts.join(" ") }) });
  const server = new grpc.Server({
    "grpc.max_concurrent_streams": MAX_CONCURRENT_STREAMS,
    "grpc.max_receive_message_length": settings.maxMessageBytes,
    "grpc.enable_channelz": 0,
  });
  // grpc-js has no option for it, but hands these to the HTTP/2 server that it makes when it binds.
  Object.assign((server as unknown as { commonServerOptions: object }).commonServerOptions, NO_RESET_LIMIT);
  const calls: OpenCalls = new Set();
  for (const [path, accept] of Object.entries(settings.services)) {
    server.register(path, serve(accept, calls), identity, identity, "bidi");
  }
  return {
    listen: () => listen(server, settings.address),
    stop: (graceMs) => stop(server, { graceMs, calls }),
  };
}

async function listen(server: grpc.Server, address: ListenAddress): Promise<string> {
  if (address.kind === "unix") {
    await claimSocket(address.path);
    await withPrivateFiles(address.path, () => bind(server, formatAddress(address)));
    return formatAddress(address);
  }
  const port = await bind(server, formatAddress(address));
  return formatAddress({ ...address, port });
}

function bind(server: grpc.Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(new Error(`Cannot listen on "${address}": ${causeOf(error)}`, { cause: error }));
    });
  });
}

/** grpc-js wraps the system's words in its own. */
function causeOf({ message }: Error): string {
  return /errors: \[(.+)\]$/.exec(message)?.[1] ?? message;
}

function stop(server: grpc.Server, { graceMs, calls }: { graceMs: number; calls: OpenCalls }): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      // First, so that none of them ends well on the way: Envoy would go on without the steps still to come.
      for (const giveUp of [...calls]) giveUp();
      const sessions = sessionsOf(server);
      server.forceShutdown();
      for (const session of sessions) session.destroy();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

/** `forceShutdown` itself ends only connections that channelz knows of, and channelz is off. */
function sessionsOf(server: grpc.Server): ServerHttp2Session[] {
  const { http2Servers } = server as unknown as {
    http2Servers: ReadonlyMap<unknown, { readonly sessions: ReadonlySet<ServerHttp2Session> }>;
  };
  return [...http2Servers.values()].flatMap(({ sessions }) => [...sessions]);
}

function serve(accept: StreamAcceptor, calls: OpenCalls): grpc.handleBidiStreamingCall<Buffer, Buffer> {
  return (call) => {
    /** Whether there is still something to say, and whether the receiver has not been told of the end yet. */
    let open = true;
    let present = true;
    const out: OutgoingStream = {
      send: (bytes, start, end) => {
        if (open) call.write(toBuffer(bytes.subarray(start, end)));
        // It keeps what it was given, and does not say for how long.
        return true;
      },
      end: () => {
        if (open) call.end();
        open = false;
      },
      fail: (message, status = grpc.status.INTERNAL) => {
        if (!open) return;
        open = false;
        call.emit("error", { code: status, details: message });
      },
    };
    const stream: IncomingStream = accept({ get: (name) => textOf(call.metadata.get(name)[0]) }, out);
    const gone = () => {
      open = false;
      if (!present) return;
      present = false;
      calls.delete(gone);
      stream.cancel();
    };
    calls.add(gone);
    call.on("data", (message: Buffer) => {
      if (present) stream.message(message);
    });
    call.on("end", () => {
      if (present) stream.halfClose();
    });
    // Comes for every stream, also for those that ended well.
    call.on("cancelled", gone);
    // The peer's doing: a broken frame, a write that it did not wait for. `fail` emits one, too.
    call.on("error", () => {
      if (open) gone();
    });
  };
}

/** grpc-js wants a Buffer from a serialiser; both ways the bytes are the message. */
function identity(message: Buffer): Buffer {
  return message;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textOf(value: grpc.MetadataValue | undefined): string | undefined {
  return value === undefined ? undefined : value.toString();
}
