// Slow and broken peers over real sockets: what a played peer cannot show is how the socket itself behaves.
import { afterEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import type { Http2TransportSettings } from "../../runtime/transport/http2/server.ts";
import { ByteReader } from "../helpers/byte-reader.ts";
import { waitFor } from "../helpers/wait.ts";
import {
  END_HEADERS,
  frame,
  headers,
  message,
  PREFACE,
  parseFrames,
  settings,
  windowUpdate,
} from "./frames.ts";
import { INTEROP, type InteropServer, startInteropServer } from "./interop-server.ts";

const LARGEST = 0x7fffffff;
const LONG_MS = 120_000;
const CALL = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", INTEROP],
  ["content-type", "application/grpc"],
] as const;

const toStop: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
});

async function started(options: Partial<Http2TransportSettings> = {}): Promise<InteropServer> {
  const server = await startInteropServer(options);
  toStop.push(() => server.transport.stop(0));
  return server;
}

async function peerOf({ address }: InteropServer): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port: Number(address.split(":")[1]), noDelay: true });
  socket.on("error", () => {});
  toStop.push(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** However it comes about. */
function closed(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** A call that works shows that a server does. */
async function echo(server: InteropServer, text: string): Promise<string> {
  const session = connectHttp2(`http://${server.address}`);
  const stream = session.request({ ":method": "POST", ":path": INTEROP, "content-type": "application/grpc" });
  stream.write(message(1, text).subarray(9));
  const [answer] = (await once(stream, "data")) as [Buffer];
  session.destroy();
  return answer.subarray(5).toString();
}

/** The payloads of the DATA frames of a stream, until they have so many bytes. */
async function readData(reader: ByteReader, bytes: number): Promise<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let data = Buffer.alloc(0);
  while (data.length < bytes) {
    const more = await reader.readSome();
    if (more === undefined)
      throw new Error(`Cannot read ${bytes} bytes: the stream ended after ${data.length}`);
    const parsed = parseFrames(Buffer.concat([rest, more]));
    data = Buffer.concat([
      data,
      ...parsed.frames.filter(({ type }) => type === "DATA").map(({ payload }) => payload),
    ]);
    rest = parsed.rest;
  }
  return data;
}

describe("issue 6: slow and broken peers", () => {
  test("one byte at a time", async () => {
    const server = await started();
    const socket = await peerOf(server);
    const reader = new ByteReader(socket);
    for (const byte of Buffer.concat([PREFACE, settings(), headers(1, CALL), message(1, "slow")])) {
      socket.write(Buffer.from([byte]));
      if (byte % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await readData(reader, 9)).subarray(5).toString()).toBe("slow");
  });

  test("half a frame, then silence: nobody else notices", async () => {
    const server = await started();
    for (const bytes of [
      [PREFACE.subarray(0, 10)],
      [PREFACE, settings(), headers(1, CALL).subarray(0, 15)],
      [PREFACE, settings(), headers(1, CALL), message(1, "abc").subarray(0, 12)],
      [PREFACE, settings(), headers(1, CALL, 0)],
    ]) {
      (await peerOf(server)).write(Buffer.concat(bytes));
    }
    expect(await echo(server, "a")).toBe("a");
  });

  test("a reset in the middle of a header block: the streams of that connection end, and no other", async () => {
    const server = await started();
    const socket = await peerOf(server);
    socket.write(Buffer.concat([PREFACE, settings(), headers(1, CALL), headers(3, CALL, 0)]));
    await waitFor("first stream", () => server.begun === 1);
    socket.resetAndDestroy();
    await waitFor("end", () => server.ended === 1);
    expect(await echo(server, "a")).toBe("a");
    expect(server.begun).toBe(2);
  });

  test(
    "a reader that stops reading: what it is sent stays bounded, and goes on when it reads again",
    async () => {
      const size = 4_000_000;
      const count = 50;
      const server = await started();
      const socket = await peerOf(server);
      socket.pause();
      socket.write(Buffer.concat([PREFACE, settings({ 4: LARGEST }), windowUpdate(0, LARGEST - 65_535)]));
      // Written as fast as the server takes it: it stops when its own answers wait.
      const large = Buffer.alloc(size, "x");
      const frames: Buffer[] = [];
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(size, 1);
      const bytes = Buffer.concat([prefix, large]);
      for (let at = 0; at < bytes.length; at += 16_384) {
        frames.push(frame("DATA", { id: 1 }, bytes.subarray(at, at + 16_384)));
      }
      socket.write(Buffer.concat([headers(1, CALL), ...frames]));
      for (let index = 1; index < count; index++) socket.write(Buffer.concat(frames));
      for (let calls = 0; calls < 20; calls++) expect(await echo(server, "a")).toBe("a");
      // Most of it was not read, because of what waits: the first answers.
      expect(socket.writableLength).toBeGreaterThan(0.8 * count * size);
      const reader = new ByteReader(socket);
      socket.resume();
      await readData(reader, 2 * size);
      expect(await echo(server, "b")).toBe("b");
    },
    LONG_MS,
  );

  test(
    "1,000 connections that do nothing, and one that does",
    async () => {
      const server = await started();
      const before = process.memoryUsage().rss;
      const idle = await Promise.all(Array.from({ length: 1_000 }, () => peerOf(server)));
      for (const [index, socket] of idle.entries()) {
        if (index % 2 === 0) socket.write(Buffer.concat([PREFACE, settings()]));
      }
      expect(await echo(server, "a")).toBe("a");
      expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000);
      for (const socket of idle) socket.destroy();
      expect(await echo(server, "b")).toBe("b");
    },
    LONG_MS,
  );

  test("limit: connections; one more is closed at once, and one is taken again when another is gone", async () => {
    const server = await started({ limits: { maxConnections: 2, prefaceTimeoutMs: 600_000 } });
    const first = await peerOf(server);
    first.write(Buffer.concat([PREFACE, settings()]));
    await peerOf(server);
    const third = await peerOf(server);
    await closed(third);
    first.destroy();
    await waitFor("place", () => echo(server, "a").catch(() => undefined));
  });

  test("limit: a client that does not speak in time is cut by the clock", async () => {
    const server = await started({ limits: { prefaceTimeoutMs: 100 } });
    const socket = await peerOf(server);
    await closed(socket);
    expect(await echo(server, "a")).toBe("a");
  });

  test("a client that closes its half gets an end, and its streams are told", async () => {
    const server = await started();
    const socket = await peerOf(server);
    socket.end(Buffer.concat([PREFACE, settings(), headers(1, CALL, END_HEADERS), message(1, "a")]));
    await closed(socket);
    await waitFor("end", () => server.ended === 1);
  });
});
