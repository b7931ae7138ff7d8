// TLS and mutual TLS of the HTTP/2 server, and certificates that are replaced while it runs.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { createLogger } from "../../runtime/observability/log.ts";
import {
  createHttp2Transport,
  type Http2Transport,
  type Http2TransportSettings,
} from "../../runtime/transport/http2/server.ts";
import { waitFor } from "../helpers/wait.ts";
import { makeAuthority, makeCertificate } from "./certificates.ts";
import { headers, message, PREFACE, settings } from "./frames.ts";

type Pair = { readonly cert: string; readonly key: string };
const SERVICE = "/test.Echo/Process";

let folder = "";
let authority: Pair;
let other: Pair;
let first: Pair;
let second: Pair;
let client: Pair;
let stranger: Pair;
/** What the server uses: copies, so that tests can replace them. */
let own: Pair;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tls-"));
  [authority, other] = [await makeAuthority(folder, "authority"), await makeAuthority(folder, "other")];
  first = await makeCertificate(folder, "first", authority);
  second = await makeCertificate(folder, "second", authority);
  client = await makeCertificate(folder, "client", authority);
  stranger = await makeCertificate(folder, "stranger", other);
  own = { cert: join(folder, "own.crt"), key: join(folder, "own.key") };
});
afterAll(() => rm(folder, { recursive: true }));

const toStop: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
});

async function use({ cert, key }: Pair): Promise<void> {
  await Promise.all([copyFile(cert, own.cert), copyFile(key, own.key)]);
}

async function started(
  options: { mutual?: boolean } & Partial<Http2TransportSettings> = {},
): Promise<{ transport: Http2Transport; port: number; lines: string[]; calls: unknown[] }> {
  const { mutual = false, ...settings } = options;
  const lines: string[] = [];
  const calls: unknown[] = [];
  await use(first);
  const transport = createHttp2Transport({
    address: { kind: "tcp", host: "127.0.0.1", port: 0 },
    services: {
      [SERVICE]: (metadata, out) => {
        calls.push(metadata);
        return {
          message: (bytes, start, end) => out.send(bytes.subarray(start, end)),
          halfClose: () => out.end(),
          cancel() {},
        };
      },
    },
    maxMessageBytes: 4_000_000,
    log: createLogger({ level: "info", format: "text", write: (line) => void lines.push(line) }),
    tls: { certificate: own.cert, key: own.key, ...(mutual ? { clientCertificates: authority.cert } : {}) },
    ...settings,
  });
  toStop.push(() => transport.stop(0));
  const address = await transport.listen();
  return { transport, port: Number(address.split(":")[1]), lines, calls };
}

async function session(port: number, pair?: Pair): Promise<ClientHttp2Session> {
  const tls: ConnectionOptions = { ca: await readFile(authority.cert), servername: "localhost" };
  if (pair !== undefined)
    Object.assign(tls, { cert: await readFile(pair.cert), key: await readFile(pair.key) });
  const made = connectHttp2(`https://localhost:${port}`, tls);
  made.on("error", () => {});
  toStop.push(() => made.destroy());
  return made;
}

/** What comes back for a text; undefined if nothing does. */
function echo(on: ClientHttp2Session, text: string): Promise<string | undefined> {
  const stream = on.request({ ":method": "POST", ":path": SERVICE, "content-type": "application/grpc" });
  let received = Buffer.alloc(0);
  return new Promise((resolve) => {
    stream.on("error", () => resolve(undefined));
    stream.on("close", () => resolve(undefined));
    stream.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length >= 5 + text.length) resolve(received.subarray(5).toString());
    });
    stream.write(message(1, text).subarray(9));
  });
}

/** Whose certificate a server shows; undefined if the handshake fails. */
function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket | undefined> {
  return new Promise((resolve) => {
    const socket = connectTls({
      host: "127.0.0.1",
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      ...options,
    });
    toStop.push(() => socket.destroy());
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
  });
}

async function shown(port: number): Promise<string | undefined> {
  const socket = await handshake(port);
  return socket?.getPeerCertificate().subject.CN?.toString();
}

describe("TLS", () => {
  test("streams, large messages and their windows", async () => {
    const { port } = await started();
    const on = await session(port);
    expect(await echo(on, "a")).toBe("a");
    const large = "x".repeat(3_000_000);
    expect((await echo(on, large)) === large).toBe(true);
  });

  test("a client that does not offer h2, or speaks no TLS, is refused; others go on", async () => {
    // Not cut by the clock, but at the end of the handshake.
    const { port } = await started({ limits: { prefaceTimeoutMs: 600_000 } });
    const on = await session(port);
    expect(await echo(on, "a")).toBe("a");
    expect(await handshake(port, { ALPNProtocols: ["http/1.1"] })).toBeUndefined();
    const silent = await handshake(port, { ALPNProtocols: [] });
    if (silent !== undefined)
      await new Promise<void>((resolve) => silent.resume().once("close", () => resolve()));
    const plain = connectTcp(port, "127.0.0.1", () => plain.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    plain.on("error", () => {});
    await new Promise<void>((resolve) => plain.resume().once("close", () => resolve()));
    expect(await echo(on, "b")).toBe("b");
  });

  test("limit: a handshake that is not done in time is cut, and counts as a connection until then", async () => {
    const { port } = await started({ limits: { prefaceTimeoutMs: 100, maxConnections: 1 } });
    const silent = connectTcp(port, "127.0.0.1");
    await new Promise<void>((resolve) => silent.once("connect", () => resolve()));
    const crowded = connectTcp(port, "127.0.0.1");
    crowded.on("error", () => {});
    await new Promise<void>((resolve) => crowded.resume().once("close", () => resolve()));
    await new Promise<void>((resolve) => silent.resume().once("close", () => resolve()));
    expect(await shown(port)).toBe("first");
  });
});

describe("mutual TLS", () => {
  test("takes clients of the authority only", async () => {
    const { port, calls } = await started({ mutual: true });
    expect(await echo(await session(port, client), "a")).toBe("a");
    expect(await echo(await session(port), "a")).toBeUndefined();
    expect(await echo(await session(port, stranger), "a")).toBeUndefined();
    expect(await echo(await session(port, client), "b")).toBe("b");
    expect(calls).toHaveLength(2);
  });

  test("a stranger who sends a call with the end of the handshake is not heard", async () => {
    const { port, calls } = await started({ mutual: true });
    const [cert, key] = await Promise.all([readFile(stranger.cert), readFile(stranger.key)]);
    const socket = connectTls({
      host: "127.0.0.1",
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      cert,
      key,
    });
    socket.on("error", () => {});
    const lines = [
      [":method", "POST"],
      [":scheme", "https"],
      [":path", SERVICE],
      ["content-type", "application/grpc"],
    ] as const;
    socket.once("secureConnect", () => {
      socket.write(Buffer.concat([PREFACE, settings(), headers(1, lines), message(1, "a")]));
    });
    await new Promise<void>((resolve) => socket.resume().once("close", () => resolve()));
    expect(calls).toEqual([]);
  });
});

describe("certificates", () => {
  test("are replaced for new connections, while old ones go on", async () => {
    const { port, transport, lines } = await started();
    const on = await session(port);
    expect([await echo(on, "a"), await shown(port)]).toEqual(["a", "first"]);
    await use(second);
    await transport.reloadCertificates();
    expect([await shown(port), await echo(on, "b")]).toEqual(["second", "b"]);
    expect(lines.filter((line) => line.includes("Certificates are renewed"))).toHaveLength(1);
  });

  test("that are broken or do not belong together change nothing, and are told once", async () => {
    const { port, transport, lines } = await started({ mutual: true });
    const problems: [string, () => Promise<void>][] = [
      ["does not belong to the certificate", () => copyFile(second.cert, own.cert)],
      ["PEM", () => writeFile(own.cert, "nonsense")],
      ["ENOENT", () => rm(own.cert)],
    ];
    for (const [said, spoil] of problems) {
      await spoil();
      await transport.reloadCertificates();
      await transport.reloadCertificates();
      const told = lines.splice(0);
      expect([told.length, told[0]]).toEqual([1, expect.stringContaining(said)]);
      expect(await echo(await session(port, client), "a")).toBe("a");
    }
    await use(second);
    await transport.reloadCertificates();
    expect(lines).toEqual([expect.stringContaining("Certificates are renewed")]);
  });

  test("are looked at from time to time", async () => {
    const { port } = await started();
    expect(await shown(port)).toBe("first");
    await use(second);
    await waitFor("new certificate", async () => (await shown(port)) === "second");
  });

  test.each<[string, (at: Pair) => object, string]>([
    [
      "a missing key",
      ({ cert }) => ({ certificate: cert, key: "/nowhere/key" }),
      'Cannot read the key "/nowhere/key": ENOENT',
    ],
    ["a key of another", ({ cert }) => ({ certificate: cert, key: second.key }), "does not belong"],
    [
      "an authority without a certificate",
      ({ cert, key }) => ({ certificate: cert, key, clientCertificates: key }),
      "it holds no certificate",
    ],
  ])("the server does not start with %s", async (_, tls, said) => {
    await use(first);
    const settings = { tls: tls(own) as never };
    await expect(started(settings)).rejects.toThrow(said);
  });

  test("the log has no key", async () => {
    const { transport, lines } = await started();
    await use(second);
    await transport.reloadCertificates();
    await copyFile(first.key, own.key);
    await transport.reloadCertificates();
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.join("\n")).not.toContain("PRIVATE KEY");
  });
});
