import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { envoyMessage, GET } from "../test/helpers/kernel.ts";
import { waitFor } from "../test/helpers/wait.ts";
import { BUILD, entryOf, policies as testPolicies } from "./cli/fixtures/policies.ts";
import { parseEngineConfig } from "./config/load-engine-config.ts";
import { type Engine, startEngine } from "./engine.ts";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "./gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import { PROCESS_METHOD } from "./kernel/processor.ts";
import { createLogger } from "./observability/log.ts";
import type { RegistryEntry } from "./policy/registry.ts";

// Programs start slowly on a machine under load.
setDefaultTimeout(60_000);

let folder: string;
let lines: string[];
const engines: Engine[] = [];
const streams: Stream[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "engine-"));
  lines = [];
});
afterEach(async () => {
  try {
    for (const stream of streams.splice(0)) stream.cancel();
    for (const engine of engines.splice(0)) await engine.stop();
  } finally {
    await rm(folder, { recursive: true });
  }
});

interface Settings {
  readonly policies?: readonly RegistryEntry[];
  readonly routes: string;
  readonly config?: string;
  readonly signal?: AbortSignal;
  readonly addresses?: Readonly<Record<string, string>>;
}

async function start(settings: Settings): Promise<Engine> {
  const { policies = testPolicies, routes, config = "", addresses = {}, signal } = settings;
  await Bun.write(join(folder, "routes.yaml"), routes);
  const servers = ["extProc", "health", "admin"].map((server) => {
    return `${server}: { address: "${addresses[server] ?? "127.0.0.1:0"}" }`;
  });
  const text = `${servers.join("\n")}\nroutes: { path: routes.yaml, watch: false }\n${config}`;
  const parsed = parseEngineConfig(text, join(folder, "policy-engine.yaml"));
  expect(parsed.problems).toEqual([]);
  const log = createLogger({ level: "debug", format: "json", write: (line) => lines.push(line) });
  const options = { policies, build: BUILD, log, ...(signal && { signal }) };
  const engine = await startEngine(parsed.config!, options);
  engines.push(engine);
  return engine;
}

function route(...policies: readonly string[]): string {
  return `routes: [{ route: r, policies: [${policies.join(", ")}] }]\n`;
}

/** One ext_proc stream, as Envoy would hold it. */
class Stream {
  readonly answers: ProcessingResponse[] = [];
  readonly ended: Promise<grpc.StatusObject>;
  readonly #call: grpc.ClientDuplexStream<Buffer, Buffer>;

  constructor(address: string, routeName = "r") {
    const client = new grpc.Client(address, grpc.credentials.createInsecure());
    streams.push(this);
    const metadata = new grpc.Metadata();
    metadata.set("x-route-name", routeName);
    const identity = (bytes: Buffer): Buffer => bytes;
    this.#call = client.makeBidiStreamRequest(PROCESS_METHOD, identity, identity, metadata);
    this.#call.on("data", (bytes: Buffer) => this.answers.push(fromBinary(ProcessingResponseSchema, bytes)));
    // The status follows, also after an error.
    this.#call.on("error", () => {});
    this.ended = new Promise((resolve) => this.#call.once("status", resolve));
    void this.ended.then(() => client.close());
  }

  send(kind: "request_headers" | "response_headers"): void {
    const headers = kind === "request_headers" ? GET : ([[":status", "200"]] as const);
    this.#call.write(Buffer.from(envoyMessage(kind, { headers })));
  }

  cancel(): void {
    this.#call.cancel();
  }

  /** The answer with this number, from 1. */
  answer(number: number): Promise<ProcessingResponse> {
    return waitFor(`answer ${number}`, () => this.answers[number - 1]);
  }
}

/** The request headers that an answer sets. */
function headersSet({ response }: ProcessingResponse): (readonly [name: string, value: string])[] {
  if (response.case !== "requestHeaders") throw new Error(`It is the answer ${response.case}`);
  const set = response.value.response?.headerMutation?.setHeaders ?? [];
  return set.map(({ header }) => [header!.key, Buffer.from(header!.rawValue).toString()]);
}

function readiness(engine: Engine): Promise<number> {
  return fetch(`http://${engine.addresses.health}/health/ready`).then(({ status }) => status);
}

async function isListening(port: number): Promise<boolean> {
  return await fetch(`http://127.0.0.1:${port}/health/live`).then(
    () => true,
    () => false,
  );
}

/** A port that was free a moment ago. */
async function takePort(): Promise<{ port: number; release: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { port, release: () => new Promise((resolve) => server.close(() => resolve())) };
}

describe("startEngine()", () => {
  test("FR-001: a stream runs the policies of its route in both directions", async () => {
    const engine = await start({ routes: route("{ name: tag, version: v1, parameters: { value: a } }") });
    expect(await readiness(engine)).toBe(200);
    const stream = new Stream(engine.addresses.extProc);
    stream.send("request_headers");
    expect(headersSet(await stream.answer(1))).toEqual([["x-tag", "a"]]);
    stream.send("response_headers");
    expect((await stream.answer(2)).response.case).toBe("responseHeaders");
    expect((await stream.ended).code).toBe(grpc.status.OK);
  });

  test("FR-012: an unknown route passes, or is denied with onUnknownRoute: deny", async () => {
    const engine = await start({ routes: "routes: []\n" });
    const stream = new Stream(engine.addresses.extProc, "nobody-knows");
    stream.send("request_headers");
    expect((await stream.answer(1)).response.case).toBe("requestHeaders");
    const strict = await start({ routes: "routes: []\n", config: "onUnknownRoute: deny\n" });
    const denied = new Stream(strict.addresses.extProc, "nobody-knows");
    denied.send("request_headers");
    const { response } = await denied.answer(1);
    expect(response.case === "immediateResponse" ? response.value.status?.code : response.case).toBe(
      503 as never,
    );
  });

  test("live but not ready until the first snapshot is applied", async () => {
    const gate = Promise.withResolvers<void>();
    const { port, release } = await takePort();
    await release();
    const slow = entryOf("slow", async () => {
      await gate.promise;
      return { onRequest: () => undefined };
    });
    const starting = start({
      policies: [slow],
      routes: route("{ name: slow, version: v1 }"),
      addresses: { health: `127.0.0.1:${port}` },
    });
    const ready = (): Promise<unknown> =>
      fetch(`http://127.0.0.1:${port}/health/ready`).then((r) => r.json());
    await waitFor("a health server", () => isListening(port));
    expect((await fetch(`http://127.0.0.1:${port}/health/live`)).status).toBe(200);
    await waitFor("a transport", async () => {
      return ((await ready()) as { reason: string }).reason === "no_configuration";
    });
    gate.resolve();
    await starting;
    expect(await ready()).toEqual({ status: "ready" });
  });

  test("an aborted start leaves nothing running", async () => {
    const { port, release } = await takePort();
    await release();
    const abort = new AbortController();
    const creating = Promise.withResolvers<void>();
    const endless = entryOf("endless", () => {
      creating.resolve();
      return new Promise(() => {});
    });
    const starting = start({
      policies: [endless],
      routes: route("{ name: endless, version: v1 }"),
      config: "limits: { createTimeout: 200ms }\n",
      addresses: { health: `127.0.0.1:${port}` },
      signal: abort.signal,
    });
    await creating.promise;
    abort.abort();
    await expect(starting).rejects.toThrow();
    expect(await isListening(port)).toBe(false);
  });

  test("a start that fails leaves nothing running and keeps what others have", async () => {
    const health = await takePort();
    await health.release();
    const taken = await takePort();
    const starting = start({
      routes: "routes: []\n",
      addresses: { health: `127.0.0.1:${health.port}`, extProc: `127.0.0.1:${taken.port}` },
    });
    await expect(starting).rejects.toThrow(
      `Cannot start the gRPC server on "127.0.0.1:${taken.port}": the address is in use, a free one is needed`,
    );
    expect(await isListening(health.port)).toBe(false);
    await taken.release();
  });

  test("an admin server that others can reach is allowed, with a warning", async () => {
    const engine = await start({ routes: "routes: []\n", addresses: { admin: "0.0.0.0:0" } });
    expect(lines.join("")).toContain("The admin server can be reached from other machines");
    const { port } = new URL(`http://${engine.addresses.admin}`);
    const status = await fetch(`http://127.0.0.1:${port}/status`, { headers: { host: "engine.internal" } });
    expect(status.status).toBe(200);
  });

  test("an admin server on loopback answers local names only", async () => {
    const engine = await start({ routes: "routes: []\n" });
    const url = `http://${engine.addresses.admin}/config`;
    expect((await fetch(url, { headers: { host: "attacker.example" } })).status).toBe(403);
    expect((await fetch(url)).status).toBe(200);
  });

  test("FR-014: the dump shows what runs, never a secret", async () => {
    const engine = await start({
      routes: route("{ name: tag, version: v1, parameters: { value: a, key: topsecret } }"),
    });
    const pages = ["config", "status", "policies"].map((page) =>
      fetch(`http://${engine.addresses.admin}/${page}`),
    );
    const [config, status, policies] = await Promise.all(
      (await Promise.all(pages)).map((page) => page.text()),
    );
    expect(JSON.parse(config!)).toMatchObject({
      engine: { extProc: { address: "127.0.0.1:0" } },
      routes: [
        { route: "r", status: "active", policies: [{ parameters: { value: "a", key: "[redacted]" } }] },
      ],
    });
    expect(JSON.parse(status!)).toMatchObject({ readiness: "ready", build: BUILD, policies: 4 });
    expect(JSON.parse(policies!).policies).toHaveLength(4);
    expect([config, status, policies, ...lines].join("")).not.toContain("topsecret");
  });
});

describe("Engine.stop()", () => {
  test("lets streams in flight finish, takes no new ones, then closes the policies", async () => {
    const gate = Promise.withResolvers<void>();
    const events: string[] = [];
    const gated = entryOf("gated", () => ({
      async onRequest() {
        events.push("started");
        await gate.promise;
        events.push("answered");
      },
      close: () => void events.push("closed"),
    }));
    const engine = await start({ policies: [gated], routes: route("{ name: gated, version: v1 }") });
    const stream = new Stream(engine.addresses.extProc);
    stream.send("request_headers");
    await waitFor("a hook that runs", () => events.length === 1);
    const stopping = engine.stop();
    expect(engine.stop()).toBe(stopping);
    expect(await readiness(engine)).toBe(503);
    const late = new Stream(engine.addresses.extProc);
    late.send("request_headers");
    expect((await late.ended).code).toBe(grpc.status.UNAVAILABLE);
    expect(events).toEqual(["started"]);
    gate.resolve();
    expect((await stream.answer(1)).response.case).toBe("requestHeaders");
    await stopping;
    expect(events).toEqual(["started", "answered", "closed"]);
    await expect(readiness(engine)).rejects.toThrow();
  });

  test("removes the files of its Unix sockets", async () => {
    const addresses = Object.fromEntries(
      ["extProc", "health", "admin"].map((server) => [server, `unix:${folder}/${server}.sock`]),
    );
    const engine = await start({ routes: "routes: []\n", addresses });
    expect(engine.addresses).toEqual(addresses as never);
    await engine.stop();
    for (const server of ["extProc", "health", "admin"]) {
      await expect(stat(join(folder, `${server}.sock`))).rejects.toThrow("ENOENT");
    }
  });
});

describe("Engine.reload()", () => {
  test("US3: takes what is in the file now, and keeps the last good routes when it is broken", async () => {
    const engine = await start({ routes: route("{ name: tag, version: v1, parameters: { value: a } }") });
    await Bun.write(
      join(folder, "routes.yaml"),
      route("{ name: tag, version: v1, parameters: { value: b } }"),
    );
    await engine.reload();
    await Bun.write(join(folder, "routes.yaml"), "routes: [");
    await engine.reload();
    const stream = new Stream(engine.addresses.extProc);
    stream.send("request_headers");
    expect(headersSet(await stream.answer(1))).toEqual([["x-tag", "b"]]);
    stream.cancel();
    await engine.stop();
    await engine.reload();
  });
});
