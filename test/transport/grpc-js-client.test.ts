// The server and the client of grpc-js.
import { afterEach, describe, expect, test } from "bun:test";
import * as grpc from "@grpc/grpc-js";
import { waitFor } from "../helpers/wait.ts";
import {
  FAILURE,
  INTEROP,
  type InteropServer,
  LARGEST_MESSAGE,
  startInteropServer,
} from "./interop-server.ts";

const LONG_MS = 120_000;
type Call = grpc.ClientDuplexStream<Buffer, Buffer>;

const toStop: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
});

async function started(): Promise<{ server: InteropServer; client: grpc.Client }> {
  const server = await startInteropServer();
  toStop.push(() => server.transport.stop(0));
  const client = new grpc.Client(server.address, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
  toStop.push(() => client.close());
  return { server, client };
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}

/** A call, and what came back on it. */
class Exchange {
  readonly call: Call;
  readonly messages: Buffer[] = [];
  status: grpc.StatusObject | undefined;

  constructor(
    client: grpc.Client,
    metadata: Record<string, string | Buffer> = {},
    options: grpc.CallOptions = {},
  ) {
    const sent = new grpc.Metadata();
    for (const [name, value] of Object.entries(metadata)) sent.set(name, value);
    this.call = client.makeBidiStreamRequest(INTEROP, identity, identity, sent, options);
    this.call.on("data", (bytes: Buffer) => void this.messages.push(bytes));
    this.call.on("error", () => {});
    this.call.on("status", (status: grpc.StatusObject) => {
      this.status = status;
    });
  }

  async send(bytes: string | Buffer, answers = this.messages.length + 1): Promise<this> {
    this.call.write(Buffer.from(bytes as string));
    await waitFor("answer", () => this.messages.length >= answers || this.status !== undefined);
    return this;
  }

  async over(): Promise<grpc.StatusObject> {
    return waitFor("status", () => this.status);
  }
}

describe("issue 6: grpc-js", () => {
  test("unary health", async () => {
    const { client } = await started();
    const check = (request: Buffer) =>
      new Promise<string>((resolve) => {
        const done: grpc.requestCallback<Buffer> = (error, answer) =>
          resolve(error === null ? (answer?.toString("hex") ?? "") : String(error.code));
        client.makeUnaryRequest("/grpc.health.v1.Health/Check", identity, identity, request, done);
      });
    expect(await check(Buffer.alloc(0))).toBe("0801");
    expect(await check(Buffer.from("\x0a\x04what"))).toBe("5");
  });

  test("messages in lock step and ahead of the answers, then a good end", async () => {
    const { client } = await started();
    const exchange = new Exchange(client);
    for (const text of ["a", "", "b"]) await exchange.send(text);
    for (let index = 0; index < 1_000; index++) exchange.call.write(Buffer.from(`${index}`));
    await waitFor("answers", () => exchange.messages.length === 1_003);
    exchange.call.end();
    expect((await exchange.over()).code).toBe(grpc.status.OK);
    expect(exchange.messages.slice(3).every((message, index) => message.toString() === `${index}`)).toBe(
      true,
    );
  });

  test("a deadline, and the server is told", async () => {
    const { server, client } = await started();
    const exchange = new Exchange(client, { "x-do": "nothing" }, { deadline: Date.now() + 1_000 });
    exchange.call.write(Buffer.from("a"));
    expect((await exchange.over()).code).toBe(grpc.status.DEADLINE_EXCEEDED);
    await waitFor("end", () => server.ended === 1);
  });

  test("cancellation, and the server is told", async () => {
    const { server, client } = await started();
    const exchange = await new Exchange(client).send("a");
    exchange.call.cancel();
    expect((await exchange.over()).code).toBe(grpc.status.CANCELLED);
    await waitFor("end", () => server.ended === 1);
  });

  test(
    "large messages, many at once",
    async () => {
      const { client } = await started();
      const exchanges = Array.from({ length: 8 }, () => new Exchange(client));
      await Promise.all(
        exchanges.map(async (exchange) => {
          for (const size of [1, 65_535, 1_000_000, LARGEST_MESSAGE])
            await exchange.send(Buffer.alloc(size, "x"));
          exchange.call.end();
          expect((await exchange.over()).code).toBe(grpc.status.OK);
          expect(exchange.messages.map(({ length }) => length)).toEqual([
            1,
            65_535,
            1_000_000,
            LARGEST_MESSAGE,
          ]);
        }),
      );
    },
    LONG_MS,
  );

  test("a message over the limit fails its call, and no other", async () => {
    const { client } = await started();
    const other = await new Exchange(client).send("a");
    const exchange = await new Exchange(client).send(Buffer.alloc(LARGEST_MESSAGE + 1));
    expect((await exchange.over()).code).toBe(grpc.status.RESOURCE_EXHAUSTED);
    expect((await other.send("b")).messages.map(String)).toEqual(["a", "b"]);
  });

  test("metadata with binary values, and trailers with a text that is not ASCII", async () => {
    const { client } = await started();
    const binary = Buffer.from("binär \x00\x01");
    const told = await new Exchange(client, { "x-do": "tell x-key-bin", "x-key-bin": binary }).send("a");
    expect(told.messages).toEqual([binary]);
    const failed = new Exchange(client, { "x-do": "answer and fail" });
    await failed.send("a");
    const { code, details } = await failed.over();
    expect([code, details, failed.messages.map(String)]).toEqual([grpc.status.INTERNAL, FAILURE, ["a"]]);
  });

  test(
    "GOAWAY while streams run: they go on and end well",
    async () => {
      const { server, client } = await started();
      const exchanges = Array.from({ length: 20 }, () => new Exchange(client));
      for (const exchange of exchanges) await exchange.send("before");
      await new Exchange(client, { "x-do": "stop" }).send("stop").then(({ call }) => call.end());
      for (const exchange of exchanges) {
        await exchange.send("after");
        exchange.call.end();
      }
      for (const exchange of exchanges) expect((await exchange.over()).code).toBe(grpc.status.OK);
      expect(exchanges.every(({ messages }) => messages.map(String).join() === "before,after")).toBe(true);
      await server.stopped;
    },
    LONG_MS,
  );

  test(
    "thousands of streams that end in RST_STREAM",
    async () => {
      const { server, client } = await started();
      for (let round = 0; round < 30; round++) {
        const exchanges = Array.from({ length: 100 }, () => new Exchange(client));
        await Promise.all(exchanges.map((exchange) => exchange.send("a")));
        for (const { call } of exchanges) call.cancel();
      }
      await waitFor("ends", () => server.ended === 3_000);
      expect((await new Exchange(client).send("a")).messages.map(String)).toEqual(["a"]);
    },
    LONG_MS,
  );
});
