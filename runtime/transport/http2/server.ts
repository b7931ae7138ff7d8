// The transport on HTTP/2 of our own, over Bun's sockets.
import type { Socket, SocketHandler, SocketListener, TLSOptions } from "bun";
import type { EngineLogger } from "../../observability/log.ts";
import { claimSocket, formatAddress, type ListenAddress, withPrivateFiles } from "../listen-address.ts";
import type { StreamAcceptor, Transport } from "../transport.ts";
import { AssemblyMemory } from "./assembly.ts";
import { Certificates } from "./certificates.ts";
import { type ConnectionSettings, type ConnectionSocket, Http2Connection } from "./connection.ts";
import { DEFAULT_HTTP2_LIMITS, type Http2Limits } from "./limits.ts";
import type { TlsFiles } from "./tls-files.ts";

/** How often connections are looked after. */
const TICK_MS = 1_000;
/** How often the files of certificates are looked at, in ticks. */
const CERTIFICATE_TICKS = 10;

/** What an HTTP/2 server is made of. */
export interface Http2TransportSettings {
  readonly address: ListenAddress;
  /** The acceptor of each method, by its gRPC path. */
  readonly services: Readonly<Record<string, StreamAcceptor>>;
  /** The largest message taken, in bytes. */
  readonly maxMessageBytes: number;
  readonly log: EngineLogger;
  /** Default: cleartext, to clients that know that it is HTTP/2. */
  readonly tls?: TlsFiles;
  /** What differs from {@link DEFAULT_HTTP2_LIMITS}. */
  readonly limits?: Partial<Http2Limits>;
}

/** A transport whose certificates can be read again; they are every ten seconds, too. */
export interface Http2Transport extends Transport {
  /** Never rejects: what is wrong is logged, and the last good certificates stay. Connections keep theirs. */
  reloadCertificates(): Promise<void>;
}

/** A transport over HTTP/2 on a TCP or a Unix socket; the socket's file has mode 0600. */
export function createHttp2Transport(settings: Http2TransportSettings): Http2Transport {
  return new Http2Server(settings);
}

interface SocketData {
  /** Undefined during the handshake of TLS, and for a socket that was not taken. */
  connection?: Http2Connection;
}
type ServerSocket = Socket<SocketData>;

/** Server-side TLS on an accepted socket, so that each connection gets the certificates of its time. */
interface Upgradable {
  upgradeTLS(options: {
    isServer: true;
    tls: TLSOptions;
    data: SocketData;
    socket: SocketHandler<SocketData>;
  }): readonly [raw: ServerSocket, tls: ServerSocket];
}

class Http2Server implements Http2Transport {
  readonly #address: ListenAddress;
  readonly #settings: ConnectionSettings;
  readonly #tlsFiles: TlsFiles | undefined;
  readonly #connections = new Set<Http2Connection>();
  /** Sockets whose handshake is not done, and since when. */
  readonly #handshakes = new Map<ServerSocket, number>();
  #certificates: Certificates | undefined;
  #listener: SocketListener<SocketData> | undefined;
  #clock: ReturnType<typeof setInterval> | undefined;
  #ticks = 0;
  /** Those who wait for the last connection to go. */
  readonly #waiting = new Set<() => void>();

  constructor({ address, services, maxMessageBytes, log, tls, limits }: Http2TransportSettings) {
    const all = { ...DEFAULT_HTTP2_LIMITS, ...limits };
    this.#address = address;
    this.#tlsFiles = tls;
    this.#settings = {
      services: new Map(Object.entries(services)),
      maxMessageBytes,
      log,
      limits: all,
      memory: new AssemblyMemory(all.assemblyBytes),
    };
  }

  async listen(): Promise<string> {
    const address = this.#address;
    if (this.#tlsFiles !== undefined) {
      this.#certificates = await Certificates.load(this.#tlsFiles, this.#settings.log);
    }
    if (address.kind === "unix") {
      await claimSocket(address.path);
      this.#listener = await withPrivateFiles(address.path, async () => this.#bind({ unix: address.path }));
    } else {
      this.#listener = this.#bind({ hostname: address.host, port: address.port });
    }
    this.#clock = setInterval(() => this.#tick(), TICK_MS);
    if (address.kind === "unix") return formatAddress(address);
    const { port } = this.#listener as unknown as { readonly port: number };
    return formatAddress({ ...address, port });
  }

  async stop(graceMs: number): Promise<void> {
    this.#listener?.stop();
    this.#listener = undefined;
    for (const socket of [...this.#handshakes.keys()]) socket.terminate();
    for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.size > 0) await this.#untilEmpty(graceMs);
    clearInterval(this.#clock);
  }

  async reloadCertificates(): Promise<void> {
    await this.#certificates?.refresh();
  }

  #bind(where: { unix: string } | { hostname: string; port: number }): SocketListener<SocketData> {
    const secure = this.#certificates;
    const common: SocketHandler<SocketData> = {
      data: (socket, chunk) => socket.data.connection?.receive(chunk),
      drain: (socket) => socket.data.connection?.drained(),
      close: (socket) => this.#closed(socket),
      error: (socket) => void socket.terminate(),
    };
    const overTls = { ...common, handshake: (socket: ServerSocket, ok: boolean) => this.#shaken(socket, ok) };
    const plain = { ...common, open: (socket: ServerSocket) => this.#opened(socket) };
    // What is below TLS is of no interest.
    const below = { open: (socket: ServerSocket) => this.#secure(socket, overTls), data() {} };
    try {
      return Bun.listen<SocketData>({
        ...(where as { unix: string }),
        socket: secure === undefined ? plain : below,
      });
    } catch (error) {
      throw new Error(`Cannot listen on "${formatAddress(this.#address)}": ${causeOf(error)}`, {
        cause: error,
      });
    }
  }

  #secure(socket: ServerSocket, handler: SocketHandler<SocketData>): void {
    if (this.#isFull) return void socket.terminate();
    const tls = this.#certificates!.current as TLSOptions;
    try {
      const upgradable = socket as unknown as Upgradable;
      const [, upgraded] = upgradable.upgradeTLS({ isServer: true, tls, data: {}, socket: handler });
      this.#handshakes.set(upgraded, performance.now());
    } catch (error) {
      this.#settings.log.error("Cannot speak TLS", { error });
      socket.terminate();
    }
  }

  /** A handshake is done, well or not. */
  #shaken(socket: ServerSocket, ok: boolean): void {
    this.#handshakes.delete(socket);
    const isKnown = socket.authorized || !this.#certificates!.wantsClientCertificate;
    if (ok && isKnown && socket.alpnProtocol === "h2") return this.#opened(socket);
    this.#settings.log.debug("Refused a client during the TLS handshake", {
      alpn: socket.alpnProtocol,
      isKnown,
    });
    socket.terminate();
  }

  #opened(socket: ServerSocket): void {
    socket.data = {};
    if (this.#isFull) return void socket.terminate();
    const connectionSocket = socket as unknown as ConnectionSocket;
    const connection = new Http2Connection(this.#settings, connectionSocket, performance.now());
    socket.data = { connection };
    this.#connections.add(connection);
  }

  get #isFull(): boolean {
    return this.#connections.size + this.#handshakes.size >= this.#settings.limits.maxConnections;
  }

  #closed(socket: ServerSocket): void {
    this.#handshakes.delete(socket);
    const connection = socket.data?.connection;
    if (connection === undefined) return;
    this.#connections.delete(connection);
    connection.gone();
    if (this.#connections.size === 0) for (const done of this.#waiting) done();
  }

  #tick(): void {
    const now = performance.now();
    for (const connection of [...this.#connections]) connection.tick(now);
    for (const [socket, since] of [...this.#handshakes]) {
      if (now - since > this.#settings.limits.prefaceTimeoutMs) socket.terminate();
    }
    if (++this.#ticks % CERTIFICATE_TICKS === 0) void this.reloadCertificates();
  }

  #untilEmpty(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(force);
        this.#waiting.delete(done);
        resolve();
      };
      const force = setTimeout(() => {
        for (const connection of [...this.#connections]) connection.terminate();
        this.#connections.clear();
        for (const each of this.#waiting) each();
      }, graceMs);
      this.#waiting.add(done);
    });
  }
}

/** Bun names the address; the system's code says what is wrong with it. */
function causeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (code === "EADDRINUSE") return "EADDRINUSE: address already in use";
  if (code === "EADDRNOTAVAIL") return "EADDRNOTAVAIL: address not available";
  return typeof code === "string" ? code : "ENOTFOUND: Name resolution failed";
}
