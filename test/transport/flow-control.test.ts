// Windows in both directions (RFC 9113 sections 5.2 and 6.9), with a peer that is played.
import { describe, expect, test } from "bun:test";
import { AssemblyMemory } from "../../runtime/transport/http2/assembly.ts";
import { STREAM_WINDOW } from "../../runtime/transport/http2/stream.ts";
import {
  END_STREAM,
  type Frame,
  frame,
  grpcMessage,
  headers,
  message,
  PADDED,
  reset,
  settings,
  windowUpdate,
} from "./frames.ts";
import { PlayedPeer, told } from "./played-peer.ts";

const INITIAL_WINDOW = 4;
const LARGEST = 0x7fffffff;
const LARGE = 3_000_000;

function dataBytes(frames: readonly Frame[], id?: number): number {
  return frames
    .filter(({ type, id: of }) => type === "DATA" && (id === undefined || of === id))
    .reduce((sum, { payload }) => sum + payload.length, 0);
}

function data(id: number, bytes: Buffer, flags = 0): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 16_384) {
    const isLast = at + 16_384 >= bytes.length;
    frames.push(frame("DATA", { id, flags: isLast ? flags : 0 }, bytes.subarray(at, at + 16_384)));
  }
  return frames;
}

/** By how much the server made a stream's window wider. */
function granted(frames: readonly Frame[], id: number): number {
  return frames
    .filter(({ type, id: of }) => type === "WINDOW_UPDATE" && of === id)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0);
}

describe("answers", () => {
  test("one larger than what waits for the socket at most goes out whole", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(LARGE)) });
    peer.greet({ [INITIAL_WINDOW]: LARGEST }).send(windowUpdate(0, LARGEST - 65_535));
    peer.send(headers(1), message(1, "a"));
    expect(dataBytes(peer.take())).toBe(LARGE + 5);
  });

  test("one that the socket takes bit by bit goes out whole, and nothing is read until it is taken", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(LARGE)) });
    peer.greet({ [INITIAL_WINDOW]: LARGEST }).send(windowUpdate(0, LARGEST - 65_535));
    peer.room = 0;
    peer.send(headers(1), message(1, "a"));
    expect(peer.paused).toBe(true);
    let bytes = dataBytes(peer.take());
    for (let round = 0; round < 100 && bytes < LARGE + 5; round++) {
      peer.room = 100_000;
      peer.connection.drained();
      bytes += dataBytes(peer.take());
    }
    expect([bytes, peer.paused]).toEqual([LARGE + 5, false]);
  });

  test("frames are as large as the peer takes, up to 64 KiB", () => {
    const largest = (values: Record<number, number>) => {
      const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(99_995)) });
      peer.greet({ [INITIAL_WINDOW]: LARGEST, ...values }).send(windowUpdate(0, 10_000_000), headers(1));
      for (let count = 0; count < 10; count++) peer.send(message(1, "a"));
      // Behind one of them, then several at once.
      peer.send(...Array.from({ length: 10 }, () => message(1, "a")));
      const frames = peer.take().filter(({ type }) => type === "DATA");
      expect(dataBytes(frames)).toBe(20 * 100_000);
      return Math.max(...frames.map(({ payload }) => payload.length));
    };
    expect([largest({}), largest({ 5: 20_000 }), largest({ 5: 1_000_000 })]).toEqual([
      16_384, 20_000, 65_536,
    ]);
  });

  test("what is written ahead of a socket that takes nothing is bounded, many small or few large", () => {
    for (const [size, count] of [
      [1_000, 5_000],
      [2_000_000, 3],
    ] as const) {
      const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(size)) });
      peer.greet({ [INITIAL_WINDOW]: LARGEST }).send(windowUpdate(0, LARGEST - 65_535), headers(1));
      peer.room = 0;
      for (let sent = 0; sent < count; sent++) peer.send(message(1, "a"));
      const { sender } = peer.connection;
      expect(sender.output.pending).toBeLessThan(1_200_000);
      expect(sender.unread).toBeGreaterThan(size * count);
      peer.room = Number.POSITIVE_INFINITY;
      peer.connection.drained();
      expect([dataBytes(peer.take()), sender.unread]).toEqual([(size + 5) * count, 0]);
    }
  });

  test("one that has waited for the connection's window goes before others", () => {
    const peer = new PlayedPeer({
      onMessage: ({ out }, bytes) => out.send(new Uint8Array(bytes.length * 1_000)),
    });
    peer.greet({ [INITIAL_WINDOW]: LARGEST }).send(headers(1), headers(3), message(1, Buffer.alloc(70)));
    peer.take();
    peer.send(windowUpdate(0, 5_000), message(3, "a"));
    expect(peer.take().map(told)).toEqual(["HEADERS 3", "DATA 1 4470", "DATA 3 530"]);
  });

  test("go as far as the stream's window, then the connection's, and the trailers wait behind them", () => {
    const peer = new PlayedPeer({
      onMessage: ({ out }) => {
        out.send(new Uint8Array(95));
        out.end();
      },
    });
    peer.greet({ [INITIAL_WINDOW]: 10 }).send(headers(1), message(1, "a"));
    expect(peer.take().map(told)).toEqual(["HEADERS 1", "DATA 1 10"]);
    peer.send(windowUpdate(1, 30));
    expect(peer.take().map(told)).toEqual(["DATA 1 30"]);
    peer.send(settings({ [INITIAL_WINDOW]: 20 }));
    expect(peer.take().map(told)).toEqual(["SETTINGS +ack", "DATA 1 10"]);
    // Smaller windows may become negative, and then take longer to open.
    peer.send(settings({ [INITIAL_WINDOW]: 0 }), windowUpdate(1, 20));
    expect(peer.take().map(told)).toEqual(["SETTINGS +ack"]);
    peer.send(windowUpdate(1, 25));
    expect(peer.take().map(told)).toEqual(["DATA 1 25"]);
    peer.send(windowUpdate(1, 100));
    expect(peer.take().map(told)).toEqual(["DATA 1 25", "HEADERS 1 +end"]);
  });

  test("a stream's window may become negative while it waits for the connection's", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(100_000)) });
    peer.greet({ [INITIAL_WINDOW]: 70_000 }).send(headers(1), message(1, "a"));
    expect(dataBytes(peer.take())).toBe(65_535);
    peer.send(settings({ [INITIAL_WINDOW]: 100 }), windowUpdate(0, 1_000_000));
    expect(peer.take().map(told)).toEqual(["SETTINGS +ack"]);
    peer.send(windowUpdate(1, 65_435), windowUpdate(1, 7));
    expect(peer.take().map(told)).toEqual(["DATA 1 7"]);
  });

  test("streams share the connection's window by frames", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(100_000)) });
    peer.greet({ [INITIAL_WINDOW]: LARGEST });
    for (const id of [1, 3, 5]) peer.send(headers(id), message(id, "a"));
    expect(dataBytes(peer.take())).toBe(65_535);
    peer.send(windowUpdate(0, 6 * 16_384));
    const frames = peer.take();
    expect([1, 3, 5].map((id) => dataBytes(frames, id) > 0)).toEqual([true, true, true]);
    peer.send(windowUpdate(0, 1_000_000));
    peer.take();
    expect(peer.connection.sender.unread).toBe(0);
  });

  test("a stream that is reset gives up what waits for it, and others get the window", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(100_000)) });
    peer.greet({ [INITIAL_WINDOW]: LARGEST }).send(headers(1), message(1, "a"), headers(3), message(3, "a"));
    const before = peer.take();
    expect(dataBytes(before)).toBe(65_535);
    peer.send(reset(1), windowUpdate(0, 200_000));
    const frames = peer.take();
    expect([dataBytes(frames, 1), dataBytes(frames, 3)]).toEqual([0, 100_005 - dataBytes(before, 3)]);
    expect(peer.connection.sender.unread).toBe(0);
  });
});

describe("messages", () => {
  test("one within the window needs no WINDOW_UPDATE; many small ones get theirs in large steps", () => {
    const peer = new PlayedPeer({ onMessage: () => {} }).greet();
    peer.send(headers(1));
    for (let count = 0; count < 1_000; count++) peer.send(message(1, Buffer.alloc(1_000)));
    const updates = peer.take().map(told);
    expect(peer.streams[0]?.messages).toHaveLength(1_000);
    expect(updates.length).toBeGreaterThan(3);
    expect(updates.length).toBeLessThan(10);
  });

  test("a window that ends within a message's length is made wide again", () => {
    const peer = new PlayedPeer({ onMessage: () => {} }).greet().send(headers(1));
    const whole = grpcMessage(Buffer.alloc(995));
    // The first is shorter, so that the window ends three bytes behind a message.
    const shorter = grpcMessage(Buffer.alloc(((STREAM_WINDOW - 3) % 1_000) - 5));
    const bytes = Buffer.concat([shorter, ...Array<Buffer>(300).fill(whole)]);
    for (const part of data(1, bytes.subarray(0, STREAM_WINDOW))) peer.send(part);
    expect(granted(peer.take(), 1)).toBeGreaterThan(0);
    for (const part of data(1, bytes.subarray(STREAM_WINDOW))) peer.send(part);
    expect(peer.streams[0]?.messages).toHaveLength(301);
  });

  test.each([
    ["a few bytes", 10],
    ["nothing", 0],
  ])("padding around %s takes of the window too, and leaves room for the rest of a message", (_, size) => {
    const peer = new PlayedPeer({ onMessage: () => {} }).greet();
    const bytes = grpcMessage(Buffer.alloc(200_000));
    let at = 10;
    let window = STREAM_WINDOW - at;
    peer.send(headers(1), frame("DATA", { id: 1 }, bytes.subarray(0, at)));
    for (let count = 0; count < 900; count++) {
      const part = bytes.subarray(at, at + size);
      const payload = Buffer.concat([Buffer.from([255]), part, Buffer.alloc(255)]);
      peer.send(frame("DATA", { id: 1, flags: PADDED }, payload));
      at += size;
      window -= payload.length;
    }
    expect(window + granted(peer.take(), 1)).toBeGreaterThan(bytes.length - at);
    for (const part of data(1, bytes.subarray(at))) peer.send(part);
    expect(peer.streams[0]?.messages).toHaveLength(1);
  });

  test("one whose call has ended gives back its memory", () => {
    const memory = new AssemblyMemory(1_000_000);
    const peer = new PlayedPeer({ memory }).greet();
    const begun = grpcMessage(Buffer.alloc(500_000)).subarray(0, 1_000);
    peer.send(headers(1), frame("DATA", { id: 1 }, begun));
    expect(memory.used).toBe(500_000);
    peer.streams[0]!.out.end();
    expect([memory.used, peer.streams[0]?.events]).toEqual([0, []]);
  });

  test("a large one gets a window as large, at once", () => {
    const peer = new PlayedPeer({ onMessage: () => {}, maxMessageBytes: LARGE }).greet();
    const bytes = grpcMessage(Buffer.alloc(LARGE, "x"));
    const [first, ...others] = data(1, bytes);
    peer.send(headers(1), first!);
    const updates = peer.take().filter(({ type }) => type === "WINDOW_UPDATE");
    expect(updates.map(({ id }) => id)).toEqual([1]);
    // All of the rest, and then as much as at first.
    expect(STREAM_WINDOW + granted(updates, 1)).toBe(bytes.length + STREAM_WINDOW);
    for (const part of others) peer.send(part);
    expect(peer.streams[0]?.messages.map((whole) => Buffer.from(whole).equals(bytes.subarray(5)))).toEqual([
      true,
    ]);
  });

  test("limit: large ones wait for memory in turn, and all come", () => {
    const memory = new AssemblyMemory(1_000_000);
    const peer = new PlayedPeer({ onMessage: () => {}, memory }).greet();
    const bytes = grpcMessage(Buffer.alloc(700_000, "x"));
    const ids = [1, 3, 5, 7];
    const sent = new Map(ids.map((id) => [id, 0]));
    const windows = new Map(ids.map((id) => [id, STREAM_WINDOW]));
    for (const id of ids) peer.send(headers(id));
    const order: number[] = [];
    for (let round = 0; round < 1_000 && order.length < ids.length; round++) {
      for (const id of ids) {
        const at = sent.get(id)!;
        const size = Math.min(16_384, windows.get(id)!, bytes.length - at);
        if (size === 0) continue;
        peer.send(frame("DATA", { id }, bytes.subarray(at, at + size)));
        sent.set(id, at + size);
        windows.set(id, windows.get(id)! - size);
        expect(memory.used).toBeLessThanOrEqual(2_000_000);
      }
      for (const { type, id, payload } of peer.take()) {
        if (type === "WINDOW_UPDATE" && id > 0) windows.set(id, windows.get(id)! + payload.readUInt32BE());
      }
      for (const [index, { messages }] of peer.streams.entries()) {
        if (messages.length > 0 && !order.includes(index)) order.push(index);
      }
    }
    expect([order, memory.used]).toEqual([[0, 1, 2, 3], 0]);
  });

  test("limit: where waiting ones hold as much again, one more is RESOURCE_EXHAUSTED", () => {
    const memory = new AssemblyMemory(600_000);
    const peer = new PlayedPeer({ onMessage: () => {}, memory }).greet();
    const start = Buffer.alloc(100);
    start.writeUInt32BE(500_000, 1);
    for (const id of [1, 3, 5, 7]) peer.send(headers(id), frame("DATA", { id }, start));
    const frames = peer.take().filter(({ type }) => type !== "WINDOW_UPDATE");
    expect(frames.map(told)).toEqual(["HEADERS 7 +end", "RST_STREAM 7 0"]);
    expect(peer.headersOf(frames[0]!)["grpc-status"]).toBe("8");
    // What the others hold goes back with them.
    for (const id of [1, 3, 5]) peer.send(reset(id));
    expect(memory.used).toBe(0);
    expect(peer.streams.map(({ events }) => events)).toEqual(Array(4).fill(["cancel"]));
  });

  test("an end within a message is an error of the call", () => {
    const peer = new PlayedPeer().greet();
    peer.send(headers(1), frame("DATA", { id: 1, flags: END_STREAM }, grpcMessage("abc").subarray(0, 6)));
    const [end] = peer.take();
    expect(peer.headersOf(end!)["grpc-status"]).toBe("13");
    expect(peer.streams[0]?.events).toEqual(["cancel"]);
  });
});
