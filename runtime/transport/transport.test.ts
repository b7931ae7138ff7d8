// The transport over real sockets. One file, long as it is: everything here looks through the same plain client,
// a raw HTTP/2 session, so that no gRPC library hides what goes over the wire.
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../../test/helpers/wait.ts";
import { createLogger } from "../observability/log.ts";
import { createHttp2Transport } from "./http2/server.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { OutgoingStream, StreamAcceptor, StreamMetadata, Transport } from "./transport.ts";

const SERVICE = "/test.Echo/Process";
const MAX_MESSAGE = 1000;
/** Thousands of streams take a few seconds, and longer on a machine that is busy. */
const LONG_MS = 120_000;
const LOOPBACK: ListenAddress = { kind: "tcp", host: "127.0.0.1", port: 0 };

const toStop: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
});

/** What the server side of a stream was told, and its way to answer. */
interface Accepted {
  readonly metadata: StreamMetadata;
  readonly out: OutgoingStream;
  readonly events: string[];
}

class TestServer {
  readonly streams: Accepted[] = [];
  readonly transport: Transport;
  /** What a stream does with a message; by default it is sent back. */
  onMessage: (stream: Accepted, message: Uint8Array) => void = ({ out }, message) => out.send(message);

  constructor(address = LOOPBACK) {
    const accept: StreamAcceptor = (metadata, out) => {
      const stream: Accepted = { metadata, out, events: [] };
      this.streams.push(stream);
      return {
        message: (came, start, end) => {
          const bytes = came.subarray(start, end);
          stream.events.push(Buffer.from(bytes).toString());
          this.onMessage(stream, bytes);
        },
        halfClose: () => {
          stream.events.push("(half-close)");
          out.end();
        },
        cancel: () => void stream.events.push("(cancel)"),
      };
    };
    this.transport = createHttp2Transport({
      address,
      services: { [SERVICE]: accept },
      maxMessageBytes: MAX_MESSAGE,
      log: createLogger({ level: "error", format: "json", write: () => {} }),
    });
    toStop.push(() => this.transport.stop(0));
  }
}

function frame(message: string, encoding: "utf8" | "latin1" = "utf8"): Buffer {
  const body = Buffer.from(message, encoding);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** See the head of the file. */
class TestClient {
  readonly session: ClientHttp2Session;
  goaway: number | undefined;
  closed = false;

  constructor(address: string) {
    const path = address.startsWith("unix:") ? address.slice("unix:".length) : undefined;
    this.session =
      path === undefined
        ? connectHttp2(`http://${address}`)
        : connectHttp2("http://localhost", { createConnection: () => connect(path) });
    this.session.on("goaway", (code) => {
      this.goaway = code;
    });
    this.session.on("error", () => {});
    this.session.on("close", () => {
      this.closed = true;
    });
    toStop.push(() => this.session.destroy());
  }

  open(headers: Record<string, string | string[]> = {}, path = SERVICE): TestCall {
    return new TestCall(
      this.session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      }),
    );
  }
}

class TestCall {
  readonly stream: ClientHttp2Stream;
  /** Headers of the answer, trailers over them. */
  headers: IncomingHttpHeaders = {};
  received = Buffer.alloc(0);
  ended = false;
  closed = false;

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream;
    const note = (headers: IncomingHttpHeaders) => {
      this.headers = { ...this.headers, ...headers };
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("data", (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes]);
    });
    stream.on("end", () => {
      this.ended = true;
    });
    stream.on("close", () => {
      this.closed = true;
    });
    stream.on("error", () => {});
  }

  send(...messages: string[]): this {
    for (const message of messages) this.stream.write(frame(message));
    return this;
  }

  /** The messages that came whole. */
  get messages(): string[] {
    const messages: string[] = [];
    for (let at = 0; at + 5 <= this.received.length; ) {
      const end = at + 5 + this.received.readUInt32BE(at + 1);
      if (end > this.received.length) break;
      messages.push(this.received.toString("utf8", at + 5, end));
      at = end;
    }
    return messages;
  }

  get status(): string | undefined {
    return this.headers["grpc-status"]?.toString();
  }

  async answered(count = 1): Promise<this> {
    await waitFor(`${count} answers`, () => this.messages.length >= count);
    return this;
  }

  async over(): Promise<this> {
    await waitFor("end of the stream", () => this.ended);
    return this;
  }

  cancel(): void {
    this.stream.close(constants.NGHTTP2_CANCEL);
  }
}

async function started(): Promise<{ server: TestServer; address: string; client: TestClient }> {
  const server = new TestServer();
  const address = await server.transport.listen();
  return { server, address, client: new TestClient(address) };
}

describe("one stream", () => {
  test("FR-001: messages go both ways in order, then the client half-closes and the stream ends well", async () => {
    const { server, client } = await started();
    const call = client.open().send("a", "b", "");
    await call.answered(3);
    expect(call.messages).toEqual(["a", "b", ""]);
    call.stream.end();
    await call.over();
    expect(Number(call.headers[":status"])).toBe(200);
    expect(call.status).toBe("0");
    await waitFor("cancel", () => server.streams[0]?.events.includes("(cancel)"));
    expect(server.streams[0]?.events).toEqual(["a", "b", "", "(half-close)", "(cancel)"]);
  });

  test("A18.9: messages are never compressed, and the trailers have the status", async () => {
    const { client } = await started();
    const call = await client.open({ "grpc-accept-encoding": "gzip,deflate" }).send("a").answered();
    expect(call.received[0]).toBe(0);
    expect(call.headers["grpc-encoding"] ?? "identity").toBe("identity");
    call.stream.end();
    await call.over();
    expect(call.status).toBe("0");
  });

  test("a message may come in pieces, several in one", async () => {
    const { client } = await started();
    const call = client.open();
    const bytes = Buffer.concat([frame("first"), frame("second")]);
    for (const part of [bytes.subarray(0, 3), bytes.subarray(3, 12), bytes.subarray(12)]) {
      call.stream.write(part);
      await Bun.sleep(1);
    }
    await call.answered(2);
    expect(call.messages).toEqual(["first", "second"]);
  });

  test("the server may end before the client does", async () => {
    const { server, client } = await started();
    server.onMessage = ({ out }, message) => {
      out.send(message);
      out.end();
      out.send(message);
      out.end();
      out.fail("late");
    };
    const call = await client.open().send("a").over();
    expect([call.messages, call.status]).toEqual([["a"], "0"]);
    call.cancel();
    await waitFor("cancel", () => server.streams[0]?.events.includes("(cancel)"));
    expect(server.streams[0]?.events.filter((event) => event === "(cancel)")).toHaveLength(1);
  });

  test("fail is an INTERNAL error with its text; nothing follows it, and the end is told once", async () => {
    const { server, client } = await started();
    server.onMessage = ({ out }, message) => {
      out.fail("no way");
      out.send(message);
      out.end();
      out.fail("again");
    };
    const call = await client.open().send("a").over();
    expect([call.messages, call.status, call.headers["grpc-message"]]).toEqual([[], "13", "no%20way"]);
    call.cancel();
    // A later stream's end shows that nothing more came for the first.
    server.onMessage = ({ out }) => out.end();
    (await client.open().send("b").over()).cancel();
    await waitFor("second cancel", () => server.streams[1]?.events.includes("(cancel)"));
    expect(server.streams[0]?.events).toEqual(["a", "(cancel)"]);
  });

  test("send, end and fail after the client cancelled do nothing", async () => {
    const { server, client } = await started();
    const call = await client.open().send("a").answered();
    call.cancel();
    const [stream] = await waitFor("cancel", () =>
      server.streams[0]?.events.includes("(cancel)") ? server.streams : undefined,
    );
    stream?.out.send(Buffer.from("late"));
    stream?.out.end();
    stream?.out.fail("late");
    expect((await client.open().send("b").answered()).messages).toEqual(["b"]);
    expect(call.messages).toEqual(["a"]);
    expect(stream?.events.filter((event) => event === "(cancel)")).toHaveLength(1);
    expect(client.goaway).toBeUndefined();
  });

  test("FR-008: metadata: the first value by name, text and binary; undefined when missing", async () => {
    const { server, client } = await started();
    const binary = Buffer.from("binär");
    const call = client.open({
      "x-route-name": "orders",
      "x-key-bin": binary.toString("base64"),
      "x-empty": "",
    });
    await call.send("a").answered();
    const { metadata } = server.streams[0]!;
    expect(
      ["x-route-name", "X-Route-Name", "x-key-bin", "x-missing"].map((name) => metadata.get(name)),
    ).toEqual(["orders", "orders", "binär", undefined]);
    expect(metadata.get("x-empty")).toBe("");
  });

  test("a method that nobody serves is UNIMPLEMENTED", async () => {
    const { client } = await started();
    expect((await client.open({}, "/test.Echo/Other").over()).status).toBe("12");
  });
});

describe("limits", () => {
  test("limit: a message over maxMessageBytes fails its stream, and no other", async () => {
    const { server, client } = await started();
    const other = await client.open().send("before").answered();
    const call = client.open().send("x".repeat(MAX_MESSAGE + 1));
    await call.over();
    expect([call.messages, call.status]).toEqual([[], "8"]);
    call.cancel();
    await waitFor("cancel", () => server.streams[1]?.events.includes("(cancel)"));
    expect(server.streams[1]?.events.filter((event) => event !== "(half-close)")).toEqual(["(cancel)"]);
    expect((await other.send("x".repeat(MAX_MESSAGE)).answered(2)).messages[1]).toHaveLength(MAX_MESSAGE);
  });

  test("limit: a length that no message has is refused before it is waited for", async () => {
    const { client } = await started();
    const call = client.open();
    call.stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 0x61]));
    expect((await call.over()).status).toBe("8");
  });

  test("limit: a small message that unpacks to a large one counts as the large one, or is not unpacked", async () => {
    const { server, client } = await started();
    const packed = Buffer.from(Bun.gzipSync(new Uint8Array(500_000)));
    expect(packed.length).toBeLessThan(MAX_MESSAGE);
    const bytes = frame(packed.toString("latin1"), "latin1");
    bytes[0] = 1;
    const call = client.open({ "grpc-encoding": "gzip" });
    call.stream.write(bytes);
    expect((await call.over()).status).toBe("12");
    expect(server.streams[0]?.events.filter((event) => !event.startsWith("("))).toEqual([]);
  });

  test(
    "A18.8: 20,000 streams on one connection that Envoy resets are all answered, without GOAWAY",
    async () => {
      const { server, client } = await started();
      server.onMessage = ({ out }, message) => {
        out.send(message);
        out.end();
      };
      let answered = 0;
      const batch = async (size: number) => {
        const calls = Array.from({ length: size }, (_, index) => client.open().send(String(index)));
        await Promise.all(
          calls.map(
            (call, index) =>
              new Promise<void>((resolve) => {
                call.stream.once("data", () => {
                  if (call.messages[0] === String(index)) answered++;
                  call.cancel();
                });
                call.stream.once("close", resolve);
              }),
          ),
        );
      };
      for (let round = 0; round < 100 && !client.closed; round++) {
        await batch(200);
        server.streams.length = 0;
      }
      expect([answered, client.goaway, client.closed]).toEqual([20_000, undefined, false]);
    },
    LONG_MS,
  );

  test(
    "A18.8: streams that are reset before their answer are as harmless",
    async () => {
      const { server, client } = await started();
      server.onMessage = () => {};
      for (let round = 0; round < 15; round++) {
        const calls = Array.from({ length: 200 }, () => client.open().send("a"));
        await waitFor(
          "messages",
          () =>
            server.streams.every(({ events }) => events.includes("a")) &&
            server.streams.length === 200 * (round + 1),
        );
        for (const call of calls) call.cancel();
      }
      await waitFor("cancellations", () => server.streams.every(({ events }) => events.includes("(cancel)")));
      server.onMessage = ({ out }, message) => out.send(message);
      expect((await client.open().send("a").answered()).messages).toEqual(["a"]);
      expect([client.goaway, client.closed]).toEqual([undefined, false]);
    },
    LONG_MS,
  );

  test(
    "limit: 2,000 streams are open at once on one connection, each with its own answer",
    async () => {
      const { server, client } = await started();
      const calls = Array.from({ length: 2_000 }, (_, index) => client.open().send(`a${index}`));
      await waitFor("first answers", () => calls.every((call) => call.messages.length === 1));
      expect(server.streams).toHaveLength(2_000);
      for (const [index, call] of calls.entries()) call.send(`b${index}`);
      await waitFor("second answers", () => calls.every((call) => call.messages.length === 2));
      expect(calls.every((call, index) => call.messages.join() === `a${index},b${index}`)).toBe(true);
      for (const call of calls) call.stream.end();
      await waitFor("ends", () => calls.every((call) => call.status === "0"));
    },
    LONG_MS,
  );
});

describe("hostile peers", () => {
  const big = "x".repeat(100_000);
  test.each([
    ["an HTTP/1.1 request", "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"],
    ["bytes that mean nothing", Buffer.alloc(5000, 0xff)],
    ["a good preface and then nonsense", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${big}`],
    ["half a preface", "PRI * HT"],
    ["nothing", ""],
  ])("edge: %s hurts nobody else", async (_, bytes) => {
    const { address, client } = await started();
    const call = await client.open().send("before").answered();
    const port = Number(address.split(":")[1]);
    await new Promise<void>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => socket.end(bytes));
      socket.resume();
      socket.on("error", () => {});
      socket.on("close", () => resolve());
    });
    expect((await call.send("after").answered(2)).messages).toEqual(["before", "after"]);
    expect((await new TestClient(address).open().send("new").answered()).messages).toEqual(["new"]);
  });

  test("edge: a client that vanishes cancels its streams, and only those", async () => {
    const { server, address, client } = await started();
    const staying = await client.open().send("a").answered();
    const vanishing = new TestClient(address);
    await vanishing.open().send("b").answered();
    vanishing.session.destroy();
    await waitFor("cancel", () => server.streams[1]?.events.includes("(cancel)"));
    expect((await staying.send("c").answered(2)).messages).toEqual(["a", "c"]);
  });

  test("edge: a request that is no gRPC is refused", async () => {
    const { client, server } = await started();
    const call = await client.open({ "content-type": "text/plain" }).over();
    expect(Number(call.headers[":status"])).toBe(415);
    expect(server.streams).toEqual([]);
  });
});

describe("listen()", () => {
  async function folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), "transport-"));
    toStop.unshift(() => rm(path, { recursive: true }));
    return path;
  }

  test("says which port it got", async () => {
    const { address } = await started();
    expect(address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
  });

  test("a port in use: one message with the address and the cause", async () => {
    const { address } = await started();
    const port = Number(address.split(":")[1]);
    const second = new TestServer({ kind: "tcp", host: "127.0.0.1", port });
    await expect(second.transport.listen()).rejects.toThrow(
      new RegExp(`^Cannot listen on "127\\.0\\.0\\.1:${port}": .*address already in use.*$`),
    );
    const foreign = createServer();
    await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve));
    const taken = (foreign.address() as { port: number }).port;
    const third = new TestServer({ kind: "tcp", host: "127.0.0.1", port: taken });
    await expect(third.transport.listen()).rejects.toThrow("address already in use");
    foreign.close();
  });

  test.each([
    ["192.0.2.1", "address not available"],
    ["no-such-host.invalid", "Name resolution failed"],
  ])("a host that is not this machine (%s)", async (host, cause) => {
    const server = new TestServer({ kind: "tcp", host, port: 0 });
    await expect(server.transport.listen()).rejects.toThrow(cause);
    await expect(server.transport.listen()).rejects.toThrow(`Cannot listen on "${host}:0"`);
  });

  test("a Unix socket: mode 0600, streams over it, its file gone after stop, its place free again", async () => {
    const path = join(await folder(), "extproc.sock");
    for (let round = 0; round < 2; round++) {
      const server = new TestServer({ kind: "unix", path });
      expect(await server.transport.listen()).toBe(`unix:${path}`);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      const client = new TestClient(`unix:${path}`);
      expect((await client.open().send("a").answered()).messages).toEqual(["a"]);
      client.session.destroy();
      await server.transport.stop(1000);
      expect(await stat(path).catch(() => "none")).toBe("none");
    }
  });

  test("a Unix socket that is taken: the first goes on, a stale one is replaced, a file is refused", async () => {
    const path = join(await folder(), "extproc.sock");
    const first = new TestServer({ kind: "unix", path });
    await first.transport.listen();
    await expect(new TestServer({ kind: "unix", path }).transport.listen()).rejects.toThrow(
      "another process listens there",
    );
    expect((await new TestClient(`unix:${path}`).open().send("a").answered()).messages).toEqual(["a"]);

    const file = `${path}.txt`;
    await writeFile(file, "");
    await expect(new TestServer({ kind: "unix", path: file }).transport.listen()).rejects.toThrow(
      "is not a socket",
    );
  });
});

describe("stop()", () => {
  test("takes no more streams, and waits for those in flight", async () => {
    const { server, address, client } = await started();
    const call = await client.open().send("a").answered();
    let stopped = false;
    const stopping = server.transport.stop(60_000).then(() => {
      stopped = true;
    });
    await waitFor("GOAWAY", () => client.goaway !== undefined);
    expect(client.goaway).toBe(constants.NGHTTP2_NO_ERROR);
    const late = new TestClient(address);
    await waitFor("refusal", () => late.closed);
    expect((await call.send("b").answered(2)).messages).toEqual(["a", "b"]);
    expect(stopped).toBe(false);
    call.stream.end();
    await call.over();
    await stopping;
    expect(call.status).toBe("0");
  });

  test("breaks off what is still in flight when the grace is over: Envoy must not take it for a good end", async () => {
    const { server, client } = await started();
    const calls = [client.open().send("a"), client.open().send("b")];
    for (const call of calls) await call.answered();
    await server.transport.stop(20);
    expect(server.streams.map(({ events }) => events)).toEqual([
      ["a", "(cancel)"],
      ["b", "(cancel)"],
    ]);
    await waitFor("end of the connection", () => client.closed && calls.every((call) => call.closed));
    expect(calls.map(({ status }) => status)).toEqual([undefined, undefined]);
    expect(server.streams.map(({ events }) => events.length)).toEqual([2, 2]);
  });

  test("ends idle connections at once", async () => {
    const { server, client } = await started();
    (await client.open().send("a").answered()).stream.end();
    await waitFor("cancel", () => server.streams[0]?.events.includes("(cancel)"));
    await server.transport.stop(60_000);
    await waitFor("end of the connection", () => client.closed);
  });

  test("may be called twice, and without or after a failed listen", async () => {
    const { server, address } = await started();
    const port = Number(address.split(":")[1]);
    const failed = new TestServer({ kind: "tcp", host: "127.0.0.1", port });
    await failed.transport.listen().catch(() => undefined);
    await failed.transport.stop(60_000);
    await new TestServer().transport.stop(60_000);
    await server.transport.stop(60_000);
    await server.transport.stop(60_000);
  });
});
