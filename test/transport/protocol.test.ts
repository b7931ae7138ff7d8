// What a peer may and may not do, and what becomes of it: a stream's error ends the stream, the connection's ends
// the connection with the code that RFC 9113 names, and the limits end what is over them.
import { describe, expect, test } from "bun:test";
import { AssemblyMemory } from "../../runtime/transport/http2/assembly.ts";
import {
  MAX_CONTINUATIONS,
  MAX_EMPTY_DATA,
  MAX_FRAME_BYTES,
  MAX_IGNORED_FRAMES,
  MAX_PINGS,
  MAX_SETTINGS,
} from "../../runtime/transport/http2/limits.ts";
import {
  ACK,
  CALL,
  END_HEADERS,
  END_STREAM,
  frame,
  type HeaderLines,
  headers,
  message,
  PADDED,
  PREFACE,
  reset,
  settings,
  windowUpdate,
} from "./frames.ts";
import { PlayedPeer, told } from "./played-peer.ts";

const CALM = 11;
const LARGEST = 0x7fffffff;

function call(changes: Readonly<Record<string, string | undefined>>, more: HeaderLines = []): HeaderLines {
  const lines = CALL.map(([name, value]) => [name, name in changes ? changes[name] : value] as const);
  return [...lines.filter((line): line is [string, string] => line[1] !== undefined), ...more];
}

/** Sends many frames in chunks, until the connection ends. */
function flood(peer: PlayedPeer, count: number, frames: Buffer): void {
  for (let sent = 0; sent < count && !peer.ended; sent += 100) {
    peer.send(...Array.from({ length: Math.min(100, count - sent) }, () => frames));
  }
}

describe("requests", () => {
  test.each<[string, HeaderLines, string]>([
    ["GET", call({ ":method": "GET" }), "415"],
    ["no content type", call({ "content-type": undefined }), "415"],
    ["another type", call({ "content-type": "application/json" }), "415"],
    ["a type that begins alike", call({ "content-type": "application/grpc-web" }), "415"],
    ["another encoding of messages", call({ "content-type": "application/grpc+json" }), "415"],
    [
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "a:1"],
      ],
      "415",
    ],
    ["headers over the limit", call({}, [["x-large", "a".repeat(70_000)]]), "431"],
    [
      "more headers than may be",
      call(
        {},
        Array.from({ length: 260 }, () => ["x", "y"] as const),
      ),
      "431",
    ],
  ])("%s: an answer that is no gRPC", (_, lines, status) => {
    const peer = new PlayedPeer().greet();
    const block = headers(1, lines);
    if (block.length <= MAX_FRAME_BYTES) peer.send(block);
    else {
      const bytes = block.subarray(9);
      peer.send(frame("HEADERS", { id: 1 }, bytes.subarray(0, MAX_FRAME_BYTES)));
      for (let at = MAX_FRAME_BYTES; at < bytes.length; at += MAX_FRAME_BYTES) {
        const flags = at + MAX_FRAME_BYTES >= bytes.length ? END_HEADERS : 0;
        peer.send(frame("CONTINUATION", { id: 1, flags }, bytes.subarray(at, at + MAX_FRAME_BYTES)));
      }
    }
    const [head, body] = peer.take();
    const { ":status": said, "content-type": type, "content-length": length } = peer.headersOf(head!);
    expect([said, type, length]).toEqual([status, "text/plain; charset=utf-8", String(body!.payload.length)]);
    expect([body!.flags, body!.payload.length > 10, peer.streams]).toEqual([END_STREAM, true, []]);
    peer.send(headers(3), message(3, "a"));
    expect(peer.take().map(told)).toEqual(["HEADERS 3", "DATA 3 6"]);
  });

  test.each<[string, HeaderLines]>([
    ["application/grpc", call({})],
    ["application/grpc+proto", call({ "content-type": "application/grpc+proto" })],
    ["with a parameter", call({ "content-type": "application/grpc; charset=utf-8" })],
    ["without te", call({ te: undefined })],
    ["without an authority", call({ ":authority": undefined })],
  ])("gRPC: %s", (_, lines) => {
    const peer = new PlayedPeer().greet().send(headers(1, lines), message(1, "a", END_STREAM));
    const frames = peer.take();
    expect(frames.map(told)).toEqual(["HEADERS 1", "DATA 1 6", "HEADERS 1 +end"]);
    expect(peer.headersOf(frames[0]!)).toEqual({ ":status": "200", "content-type": "application/grpc" });
    expect(peer.headersOf(frames[2]!)).toEqual({ "grpc-status": "0" });
    expect(peer.streams[0]?.events).toEqual(["message", "half-close", "cancel"]);
  });

  test.each<[string, HeaderLines]>([
    ["no method", call({ ":method": undefined })],
    ["no scheme", call({ ":scheme": undefined })],
    ["no path", call({ ":path": undefined })],
    ["an empty path", call({ ":path": "" })],
    ["a pseudo-header twice", [[":path", "/"], ...call({})]],
    ["a pseudo-header that is none", [[":what", "a"], ...call({})]],
    ["a pseudo-header behind others", call({}, [[":status", "200"]])],
    ["upper case", call({}, [["X-A", "b"]])],
    ["an empty name", call({}, [["", "b"]])],
    ["a line feed in a value", call({}, [["x-a", "b\nc: d"]])],
    ["a NUL in a pseudo-header", call({ ":path": "/a\0" })],
    ["a blank before a value", call({}, [["x-a", " b"]])],
    ["a blank behind a value", call({}, [["x-a", "b\t"]])],
    ["connection", call({}, [["connection", "close"]])],
    ["transfer-encoding", call({}, [["transfer-encoding", "chunked"]])],
    ["te that is not trailers", call({ te: "gzip" })],
    ["a length that is no number", call({}, [["content-length", "-1"]])],
    [
      "two lengths",
      call({}, [
        ["content-length", "1"],
        ["content-length", "2"],
      ]),
    ],
  ])("malformed: %s ends that stream only", (_, lines) => {
    const peer = new PlayedPeer().greet().send(headers(1, lines), headers(3), message(3, "a"));
    expect(peer.take().map(told)).toEqual(["RST_STREAM 1 1", "HEADERS 3", "DATA 3 6"]);
  });

  test.each([
    ["more than the length says", "5", END_STREAM],
    ["less than the length says", "7", END_STREAM],
  ])("malformed: %s", (_, length, flags) => {
    const peer = new PlayedPeer({ onMessage: () => {} }).greet();
    peer.send(headers(1, call({}, [["content-length", length]])), message(1, "a", flags));
    expect(peer.take().map(told)).toEqual(["RST_STREAM 1 1"]);
    expect(peer.streams[0]?.events.at(-1)).toBe("cancel");
  });

  test("trailers end the request; those without an end, or with pseudo-headers, end the stream", () => {
    const peer = new PlayedPeer().greet();
    for (const id of [1, 3, 5]) peer.send(headers(id));
    peer.send(headers(1, [["x-after", "a"]], END_HEADERS | END_STREAM), headers(3, [["x-after", "a"]]));
    peer.send(headers(5, [[":path", "/"]], END_HEADERS | END_STREAM));
    expect(peer.take().map(told)).toEqual(["HEADERS 1 +end", "RST_STREAM 3 1", "RST_STREAM 5 1"]);
  });

  test("FR-008: metadata is UTF-8, the first line of a name counts, and what is no base64 is what there is of it", () => {
    const latin1 = Buffer.from("bestellungen-ö-€").toString("latin1");
    const lines = call({}, [
      ["x-route", latin1],
      ["x-route", "other"],
      ["x-plain", "a"],
      ["x-b-bin", "w7Y,YQ=="],
      ["x-c-bin", "!"],
    ]);
    const peer = new PlayedPeer().greet().send(headers(1, lines));
    const { metadata } = peer.streams[0]!;
    const names = ["X-Route", "x-plain", "x-b-bin", "x-c-bin", "x-d-bin"];
    expect(names.map((name) => metadata.get(name))).toEqual(["bestellungen-ö-€", "a", "ö", "", undefined]);
  });

  test("grpc-timeout: the call ends when the client has stopped waiting", async () => {
    const peer = new PlayedPeer({ onMessage: () => {} }).greet();
    peer.send(headers(1, call({}, [["grpc-timeout", "1m"]])), message(1, "a"));
    while (peer.streams[0]?.events.at(-1) !== "cancel") await Bun.sleep(1);
    const [end, after] = peer.take();
    expect(peer.headersOf(end!)["grpc-status"]).toBe("4");
    expect(told(after!)).toBe("RST_STREAM 1 0");
  });

  test("grpc-timeout: what waits for a window is dropped, and a call that has ended has no deadline", async () => {
    const peer = new PlayedPeer().greet({ 4: 0 });
    const lines = call({}, [["grpc-timeout", "30m"]]);
    peer.send(headers(1, lines), message(1, "a"), headers(3, lines, END_HEADERS | END_STREAM));
    expect(peer.take().map(told)).toEqual(["HEADERS 1", "HEADERS 3 +end"]);
    const ended = new PlayedPeer({ onMessage: ({ out }) => out.end() }).greet();
    ended.send(headers(1, lines), message(1, "a"));
    ended.take();
    while (peer.streams[0]?.events.at(-1) !== "cancel") await Bun.sleep(1);
    await Bun.sleep(30);
    const [end, after] = peer.take();
    expect([peer.headersOf(end!)["grpc-status"], told(after!)]).toEqual(["4", "RST_STREAM 1 0"]);
    expect([peer.take(), ended.take()]).toEqual([[], []]);
  });

  test("a call that the server has ended is over when the client ends it too", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.end() }).greet();
    peer.send(headers(1), message(1, "a"), message(1, "b"), frame("DATA", { id: 1, flags: END_STREAM }));
    expect(peer.streams[0]?.events).toEqual(["message", "cancel"]);
    peer.take();
    peer.pass(20_000);
    expect(peer.take()).toEqual([]);
  });

  test("a receiver that throws fails its call only", () => {
    const peer = new PlayedPeer({
      onMessage: () => {
        throw new Error("of no use");
      },
    }).greet();
    peer.send(headers(1), message(1, "a"), headers(3));
    const [end] = peer.take();
    expect(peer.headersOf(end!)["grpc-status"]).toBe("13");
    expect([peer.streams.length, peer.ended, peer.log.length]).toEqual([2, false, 1]);
  });
});

describe("a client that makes the table of header compression smaller", () => {
  const END = END_HEADERS | END_STREAM;
  /** How the first headers of the server's answers begin. */
  const begins = (peer: PlayedPeer) =>
    peer
      .take()
      .filter(({ type }) => type === "HEADERS")
      .map(({ payload }) => payload[0] === 0x20);

  test("is told once that no table is used, as RFC 7541 section 4.2 asks", () => {
    const peer = new PlayedPeer().greet({ 1: 4_095 }).send(headers(1), message(1, "a", END_STREAM));
    const [head, , end] = peer.take();
    expect(head!.payload[0]).toBe(0x20);
    expect(peer.headersOf(head!)).toEqual({ ":status": "200", "content-type": "application/grpc" });
    expect(peer.headersOf(end!)).toEqual({ "grpc-status": "0" });
    expect(end!.payload[0]).not.toBe(0x20);
    peer.send(settings({ 1: 8_192 }), settings({ 1: 0 }), headers(3, CALL, END));
    expect(begins(peer)).toEqual([false]);
  });

  test("is told in the next headers, also where the table grows again before them", () => {
    const peer = new PlayedPeer().greet().send(headers(1, CALL, END));
    expect(begins(peer)).toEqual([false]);
    peer.send(settings({ 1: 100 }), settings({ 1: 4_096 }), headers(3, CALL, END), headers(5, CALL, END));
    expect(begins(peer)).toEqual([true, false]);
  });

  test("is not told where the table stays as it is, or grows", () => {
    for (const size of [4_096, 65_536]) {
      expect(begins(new PlayedPeer().greet({ 1: size }).send(headers(1, CALL, END)))).toEqual([false]);
    }
  });
});

describe("errors of the connection", () => {
  const PROTOCOL = 1;
  const FLOW = 3;
  const CLOSED = 5;
  const SIZE = 6;
  const COMPRESSION = 9;
  test.each<[string, number, (peer: PlayedPeer) => Buffer[]]>([
    ["HTTP/1", PROTOCOL, () => [Buffer.from("GET / HTTP/1.1\r\n\r\n")]],
    ["no SETTINGS at first", PROTOCOL, () => [PREFACE, headers(1)]],
    ["an answer to SETTINGS at first", PROTOCOL, () => [PREFACE, frame("SETTINGS", { flags: ACK })]],
    [
      "a frame that is too large",
      SIZE,
      () => [PREFACE, settings(), frame(0xff, {}, Buffer.alloc(MAX_FRAME_BYTES + 1))],
    ],
    ["half a setting", SIZE, () => [PREFACE, frame("SETTINGS", {}, Buffer.alloc(5))]],
    ["a window that is too large", FLOW, () => [PREFACE, settings({ 4: LARGEST + 1 })]],
    ["a frame size that is too small", PROTOCOL, () => [PREFACE, settings({ 5: 1 })]],
  ])("%s", (_, code, bytes) => {
    const peer = new PlayedPeer();
    peer.send(...bytes(peer));
    expect([peer.take().map(told).at(-1), peer.ended]).toEqual([`GOAWAY 0 ${code}`, true]);
  });

  test.each<[string, number, Buffer[]]>([
    ["a stream with an even number", PROTOCOL, [headers(2)]],
    ["a stream behind later ones", PROTOCOL, [headers(5), headers(3)]],
    ["DATA for no stream", PROTOCOL, [frame("DATA", { id: 0 })]],
    ["DATA for a stream of the server", PROTOCOL, [headers(3), message(2, "a")]],
    ["DATA for a stream that was never opened", PROTOCOL, [frame("DATA", { id: 99 })]],
    ["DATA for a stream that is over", CLOSED, [headers(1, CALL, END_HEADERS | END_STREAM), message(1, "a")]],
    ["RST_STREAM for a stream that was never opened", PROTOCOL, [reset(99)]],
    ["a frame within a header block", PROTOCOL, [headers(1, CALL, 0), frame("PING", {}, Buffer.alloc(8))]],
    ["CONTINUATION of another stream", PROTOCOL, [headers(1, CALL, 0), frame("CONTINUATION", { id: 3 })]],
    ["CONTINUATION of nothing", PROTOCOL, [frame("CONTINUATION", { id: 1 })]],
    ["PUSH_PROMISE", PROTOCOL, [frame("PUSH_PROMISE", { id: 1 }, Buffer.alloc(4))]],
    [
      "a header block that means nothing",
      COMPRESSION,
      [frame("HEADERS", { id: 1, flags: END_HEADERS }, Buffer.from([0x80]))],
    ],
    [
      "more padding than there is",
      PROTOCOL,
      [headers(1), frame("DATA", { id: 1, flags: PADDED }, Buffer.from([9, 0]))],
    ],
    ["a PING of another size", SIZE, [frame("PING", {}, Buffer.alloc(7))]],
    ["a window that grows by nothing", PROTOCOL, [windowUpdate(0, 0)]],
    ["a window that grows too large", FLOW, [windowUpdate(0, LARGEST)]],
    [
      "streams' windows that SETTINGS make too large",
      FLOW,
      [headers(1), windowUpdate(1, LARGEST - 65_535), settings({ 4: 65_536 })],
    ],
    ["GOAWAY of another size", SIZE, [frame("GOAWAY", {}, Buffer.alloc(7))]],
    ["RST_STREAM for a stream of the server", PROTOCOL, [headers(5), reset(4)]],
    ["WINDOW_UPDATE for a stream of the server", PROTOCOL, [headers(5), windowUpdate(2, 1)]],
  ])("%s", (_, code, bytes) => {
    const peer = new PlayedPeer().greet();
    peer.send(headers(7)).send(reset(7)).take();
    const other = new PlayedPeer().greet();
    other.send(...bytes);
    const last = other.take().map(told).at(-1)!;
    expect([last.startsWith("GOAWAY"), Number(last.split(" ")[2]), other.ended]).toEqual([true, code, true]);
    // Every stream is told, once, and nothing that comes later means anything.
    const events = other.streams.map((stream) => stream.events.filter((event) => event === "cancel").length);
    expect(events.every((count) => count === 1)).toBe(true);
    other.send(headers(101), message(101, "a"));
    expect([other.take(), other.streams.length]).toEqual([[], events.length]);
  });
});

describe("errors of one stream", () => {
  const opened = [headers(1), headers(3)];
  test.each<[string, number, Buffer[]]>([
    ["a window that grows by nothing", 1, [windowUpdate(1, 0)]],
    ["a window that grows too large", 3, [windowUpdate(1, LARGEST)]],
    [
      "more than the window",
      3,
      Array.from({ length: 17 }, () => frame("DATA", { id: 1 }, Buffer.alloc(16_384, 0xff))),
    ],
    ["DATA behind the end", 5, [frame("DATA", { id: 1, flags: END_STREAM }), message(1, "a")]],
  ])("%s", (what, code, bytes) => {
    const options = {
      maxMessageBytes: 0xffffffff,
      onMessage: () => {},
      limits: { assemblyBytes: 1_000_000 },
    };
    const peer = new PlayedPeer(what === "more than the window" ? options : {}).greet();
    if (what === "DATA behind the end") {
      // Open to this side as long as its answer waits.
      peer.send(settings({ 4: 0 })).take();
      const [first, second] = bytes;
      peer.send(headers(1), message(1, "a"), first!, second!, headers(3));
    } else if (what === "more than the window") {
      // Another message has the memory, so this one waits.
      const large = Buffer.from([0, 0, 0x80, 0, 0]);
      peer.send(
        headers(1),
        headers(3),
        frame("DATA", { id: 3 }, large),
        frame("DATA", { id: 1 }, large),
        ...bytes,
      );
    } else peer.send(...opened, ...bytes);
    const said = peer.take().map(told);
    expect(said).toContain(`RST_STREAM 1 ${code}`);
    expect([peer.ended, peer.streams[0]?.events.at(-1)]).toEqual([false, "cancel"]);
    peer.send(headers(5), message(5, "b"));
    expect(peer.streams).toHaveLength(3);
  });

  test("frames that were on their way to a stream that the server reset mean nothing", () => {
    const peer = new PlayedPeer().greet().send(headers(1), windowUpdate(1, 0));
    peer.take();
    peer.send(
      message(1, "a"),
      windowUpdate(1, 5),
      reset(1),
      headers(1, [["x", "y"]], END_HEADERS | END_STREAM),
    );
    expect([peer.take(), peer.ended]).toEqual([[], false]);
  });
});

describe("limits", () => {
  test.each<[string, number, Buffer]>([
    ["PING", MAX_PINGS, frame("PING", {}, Buffer.alloc(8))],
    ["SETTINGS", MAX_SETTINGS - 1, settings()],
    ["empty DATA", MAX_EMPTY_DATA, frame("DATA", { id: 1 })],
    ["PRIORITY", MAX_IGNORED_FRAMES, frame("PRIORITY", { id: 1 }, Buffer.alloc(5))],
    ["unknown frames", MAX_IGNORED_FRAMES, frame(0x77, { id: 1 })],
    ["answers to PINGs that nobody sent", MAX_IGNORED_FRAMES, frame("PING", { flags: ACK }, Buffer.alloc(8))],
  ])("limit: %s in a second", (_, most, bytes) => {
    const peer = new PlayedPeer().greet().send(headers(1));
    flood(peer, most, bytes);
    peer.pass(1_000);
    if (bytes[3] === 4) flood(peer, most + 1, bytes);
    else flood(peer, most, bytes);
    expect(peer.ended).toBe(false);
    flood(peer, 1, bytes);
    expect([peer.take().map(told).at(-1), peer.ended]).toEqual([`GOAWAY 1 ${CALM}`, true]);
  });

  test("limit: CONTINUATION frames of a header block", () => {
    const peer = new PlayedPeer().greet().send(headers(1, CALL, 0));
    flood(peer, MAX_CONTINUATIONS, frame("CONTINUATION", { id: 1 }));
    expect(peer.ended).toBe(false);
    peer.send(frame("CONTINUATION", { id: 1 }));
    expect([peer.take().map(told), peer.ended]).toEqual([[`GOAWAY 0 ${CALM}`], true]);
  });

  test("limit: streams at once; one more is refused, and the next is taken when one has ended", () => {
    const peer = new PlayedPeer({ limits: { maxStreams: 2 } }).greet();
    peer.send(headers(1), headers(3), headers(5), message(5, "a"));
    expect(peer.take().map(told)).toEqual(["RST_STREAM 5 7"]);
    peer.send(reset(1), headers(7), message(7, "a"));
    expect(peer.take().map(told)).toEqual(["HEADERS 7", "DATA 7 6"]);
  });

  test("limit: streams opened and streams reset in a second are free, unless they are limited", () => {
    const free = new PlayedPeer().greet();
    for (let id = 1; id < 20_000; id += 2) free.send(headers(id), reset(id));
    expect(free.ended).toBe(false);
    const opening = new PlayedPeer({ limits: { streamsPerSecond: 10 } }).greet();
    for (let id = 1; id <= 21; id += 2) opening.send(headers(id));
    expect(opening.take().map(told).at(-1)).toBe(`GOAWAY 21 ${CALM}`);
    const resetting = new PlayedPeer({ limits: { resetsPerSecond: 10 } }).greet();
    for (let id = 1; id <= 21; id += 2) resetting.send(headers(id), reset(id));
    expect(resetting.take().map(told).at(-1)).toBe(`GOAWAY 21 ${CALM}`);
  });

  test.each<[string, (id: number) => Buffer[]]>([
    ["a window that grows by nothing", (id) => [headers(id), windowUpdate(id, 0)]],
    ["trailers that do not end", (id) => [headers(id), headers(id)]],
    ["headers that may not be", (id) => [headers(id, call({ ":path": undefined }))]],
    [
      "more than content-length",
      (id) => [headers(id, call({}, [["content-length", "1"]])), message(id, "a")],
    ],
  ])("limit: streams that a client has reset for it, by %s, count as those that it resets", (_, frames) => {
    const peer = new PlayedPeer({ limits: { resetsPerSecond: 10 } }).greet();
    for (let id = 1; id <= 19; id += 2) peer.send(...frames(id));
    expect(peer.ended).toBe(false);
    peer.send(...frames(21));
    expect([peer.take().map(told).at(-1), peer.ended]).toEqual([`GOAWAY 21 ${CALM}`, true]);
  });

  test("limit: answers that nobody takes: the stream that goes over it is reset, others stay", () => {
    const peer = new PlayedPeer({ limits: { unreadBytes: 2_000 } });
    peer
      .greet({ 4: 0 })
      .send(headers(1), message(1, Buffer.alloc(1_000)), headers(3), message(3, Buffer.alloc(900)));
    expect(peer.take().map(told)).toEqual(["HEADERS 1", "HEADERS 3", `RST_STREAM 3 ${CALM}`]);
    expect(peer.streams.map(({ events }) => events)).toEqual([["message"], ["message", "cancel"]]);
  });

  test("limit: messages, by their declared length", () => {
    const peer = new PlayedPeer({ maxMessageBytes: 10 }).greet();
    peer.send(headers(1), message(1, "0123456789"), frame("DATA", { id: 1 }, Buffer.from([0, 0, 0, 0, 11])));
    const frames = peer.take();
    expect(frames.map(told)).toEqual(["HEADERS 1", "DATA 1 15", "HEADERS 1 +end", "RST_STREAM 1 0"]);
    expect(peer.headersOf(frames[2]!)["grpc-status"]).toBe("8");
  });

  test("compressed messages are UNIMPLEMENTED, and what would be taken is told", () => {
    const peer = new PlayedPeer()
      .greet()
      .send(headers(1), frame("DATA", { id: 1 }, Buffer.from([1, 0, 0, 0, 1, 0])));
    const [end] = peer.take();
    const { "grpc-status": status, "grpc-accept-encoding": taken } = peer.headersOf(end!);
    expect([status, taken]).toEqual(["12", "identity"]);
  });
});

describe("time", () => {
  test("limit: a client that never speaks is cut", () => {
    for (const bytes of ["", "PRI * HT", PREFACE.toString()]) {
      const peer = new PlayedPeer().send(Buffer.from(bytes));
      peer.pass(9_000);
      expect(peer.terminated).toBe(false);
      peer.pass(2_000);
      expect(peer.terminated).toBe(true);
    }
  });

  test("limit: a silent client is asked, and cut when it does not answer; its streams are told", () => {
    const peer = new PlayedPeer().greet().send(headers(1));
    peer.pass(61_000);
    expect(peer.take()).toEqual([]);
    peer.pass(1_000);
    expect(peer.take().map(told)).toEqual(["PING"]);
    peer.send(frame("PING", { flags: ACK }, Buffer.alloc(8)));
    peer.pass(65_000);
    expect(peer.take().map(told)).toEqual(["PING"]);
    expect([peer.terminated, peer.streams[0]?.events]).toEqual([false, []]);
    peer.pass(12_000);
    expect([peer.terminated, peer.streams[0]?.events]).toEqual([true, ["cancel"]]);
  });

  test("limit: an answer that the stream's window holds back for too long", () => {
    const peer = new PlayedPeer().greet({ 4: 0 }).send(headers(1), message(1, "a"), headers(3));
    for (let second = 0; second < 70; second++) {
      peer.send(frame("PING", { flags: ACK }, Buffer.alloc(8)));
      peer.pass(1_000);
    }
    expect(peer.take().map(told)).toEqual(["HEADERS 1", `RST_STREAM 1 ${CALM}`]);
    expect(peer.streams.map(({ events }) => events)).toEqual([["message", "cancel"], []]);
  });

  test("limit: a message of which no more comes, also one that has others wait for its memory", () => {
    const memory = new AssemblyMemory(1_000_000);
    const peer = new PlayedPeer({ memory, onMessage: () => {} }).greet();
    const large = Buffer.from([0, 0, 0xd, 0, 0]);
    for (const id of [1, 3, 5])
      peer.send(headers(id), frame("DATA", { id }, large.subarray(0, id === 5 ? 3 : 5)));
    const beat = frame("PING", { flags: ACK }, Buffer.alloc(8));
    for (let second = 0; second < 63; second++) {
      peer.send(beat);
      // One that comes slowly is not stuck.
      if (second === 30) peer.send(headers(7), frame("DATA", { id: 7 }, large.subarray(0, 1)));
      peer.pass(1_000);
    }
    expect(peer.streams.map(({ events }) => events)).toEqual([["cancel"], [], ["cancel"], []]);
    // The one that waited has its turn now.
    expect(peer.take().map(told)).toContain("WINDOW_UPDATE 3 851973");
    peer.pass(35_000);
    expect(peer.streams[3]?.events).toEqual(["cancel"]);
    expect(memory.used).toBe(0xd0000);
  });

  test("an answer that goes out slowly is not stuck, and what was sent of it is forgotten", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(95)) }).greet({ 4: 0 });
    peer.send(headers(1));
    for (let count = 0; count < 2_000; count++) peer.send(message(1, "a"));
    for (let second = 0; second < 150; second++) {
      peer.send(windowUpdate(1, second % 20 === 0 ? 10_000 : 1));
      peer.pass(1_000);
    }
    const [waiting] = peer.connection.sender.waiting;
    expect(waiting!.backlog!.pieces.length).toBeLessThan(4_000);
    expect(peer.streams[0]?.events).not.toContain("cancel");
  });

  test("limit: a socket that takes nothing for too long", () => {
    const peer = new PlayedPeer().greet();
    peer.room = 0;
    peer.send(headers(1), message(1, "a"));
    peer.pass(60_000);
    expect(peer.terminated).toBe(false);
    peer.pass(2_000);
    expect([peer.terminated, peer.streams[0]?.events]).toEqual([true, ["message", "cancel"]]);
  });

  test("a socket that takes little is waited for, and a peer that is not read from is not asked", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(5_000_000)) });
    peer.greet({ 4: LARGEST }).send(windowUpdate(0, LARGEST - 65_535));
    peer.room = 0;
    peer.send(headers(1), message(1, "a"));
    for (let second = 0; second < 150; second++) {
      peer.room = 10_000;
      peer.connection.drained();
      peer.pass(1_000);
    }
    expect([peer.paused, peer.terminated]).toEqual([true, false]);
    peer.room = Number.POSITIVE_INFINITY;
    peer.connection.drained();
    expect(
      peer
        .take()
        .filter(({ type }) => type !== "DATA")
        .map(told),
    ).toEqual(["HEADERS 1"]);
  });

  test("limit: a stream that the client leaves open behind the server's end", () => {
    const peer = new PlayedPeer({ onMessage: ({ out }) => out.end() })
      .greet()
      .send(headers(1), message(1, "a"));
    peer.take();
    peer.pass(10_000);
    expect(peer.take()).toEqual([]);
    peer.pass(3_000);
    expect(peer.take().map(told)).toEqual(["RST_STREAM 1 0"]);
    expect(peer.streams[0]?.events).toEqual(["message", "cancel"]);
  });
});

describe("drain", () => {
  test("takes what was on its way, then nothing more, and closes behind the last stream", () => {
    const peer = new PlayedPeer().greet().send(headers(1));
    peer.connection.drain();
    const [goAway, ping] = peer.take();
    expect([told(goAway!), told(ping!)]).toEqual([`GOAWAY ${LARGEST} 0`, "PING"]);
    peer.send(headers(3), message(3, "a"));
    expect(peer.take().map(told)).toEqual(["HEADERS 3", "DATA 3 6"]);
    peer.send(frame("PING", { flags: ACK }, ping!.payload));
    expect(peer.take().map(told)).toEqual(["GOAWAY 3 0"]);
    peer.send(headers(5), message(5, "a"), message(1, "b"));
    expect(peer.take().map(told)).toEqual(["RST_STREAM 5 7", "HEADERS 1", "DATA 1 6"]);
    peer.send(frame("DATA", { id: 1, flags: END_STREAM }));
    expect(peer.ended).toBe(false);
    peer.send(reset(3));
    expect([peer.take().map(told), peer.ended]).toEqual([["HEADERS 1 +end"], true]);
  });

  test("names no later stream in a later GOAWAY: those were refused, and may be tried elsewhere", () => {
    const peer = new PlayedPeer().greet().send(headers(1));
    peer.connection.drain();
    const [, ping] = peer.take();
    peer.send(frame("PING", { flags: ACK }, ping!.payload), headers(3), windowUpdate(0, 0));
    expect(peer.take().map(told)).toEqual(["GOAWAY 1 0", "RST_STREAM 3 7", "GOAWAY 1 1"]);
  });

  test("does not look at what comes behind its end", () => {
    const peer = new PlayedPeer().greet();
    peer.connection.drain();
    const [, ping] = peer.take();
    peer.send(frame("PING", { flags: ACK }, ping!.payload), headers(1), message(1, "a"));
    expect([peer.take().map(told), peer.streams, peer.ended]).toEqual([["GOAWAY 0 0"], [], true]);
  });

  test("waits for a client that takes the last answers slowly, and not for one that takes none", () => {
    for (const room of [50_000, 0]) {
      const peer = new PlayedPeer({ onMessage: ({ out }) => out.send(new Uint8Array(900_000)) });
      peer.greet({ 4: LARGEST }).send(windowUpdate(0, LARGEST - 65_535), headers(1));
      peer.connection.drain();
      const [, ping] = peer.take();
      peer.room = 0;
      peer.send(frame("PING", { flags: ACK }, ping!.payload), message(1, "a", END_STREAM));
      for (let second = 0; second < 25; second++) {
        peer.room = room;
        peer.connection.drained();
        if (!peer.ended && !peer.terminated) peer.pass(1_000);
      }
      expect([peer.ended, peer.terminated]).toEqual([room > 0, room === 0]);
      // Then it has some time to close.
      peer.pass(9_000);
      expect(peer.terminated).toBe(room === 0);
      peer.pass(3_000);
      expect(peer.terminated).toBe(true);
    }
  });

  test("does not wait for a client that does not answer", () => {
    const peer = new PlayedPeer().greet();
    peer.connection.drain();
    peer.pass(12_000);
    expect([peer.take().map(told).at(-1), peer.ended]).toEqual(["GOAWAY 0 0", true]);
    peer.pass(12_000);
    expect(peer.terminated).toBe(true);
  });

  test("cuts a client that has not spoken yet", () => {
    const peer = new PlayedPeer();
    peer.connection.drain();
    expect(peer.terminated).toBe(true);
  });
});

test("edge: one byte at a time is the same as all at once", () => {
  const bytes = Buffer.concat([
    ...[PREFACE, settings(), headers(1), message(1, "abc")],
    ...[
      frame("PING", {}, Buffer.alloc(8, 7)),
      headers(3, CALL, 0),
      frame("CONTINUATION", { id: 3, flags: END_HEADERS }),
    ],
    ...[message(3, "", END_STREAM), message(1, "d", END_STREAM), frame("DATA", { id: 9 })],
  ]);
  const whole = new PlayedPeer().send(bytes);
  const slow = new PlayedPeer();
  for (const byte of bytes) slow.send(Buffer.from([byte]));
  const said = slow.take().map(told);
  expect(said).toEqual(whole.take().map(told));
  expect(said.at(-1)).toBe("GOAWAY 3 1");
});
