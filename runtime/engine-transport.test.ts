// What the configuration says of the ext_proc server reaches it: limits, and the files of TLS.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { makeAuthority } from "../test/transport/certificates.ts";
import {
  CALL,
  type Frame,
  frame,
  headers,
  PREFACE,
  parseFrames,
  reset,
  settings,
} from "../test/transport/frames.ts";
import { BUILD } from "./cli/fixtures/policies.ts";
import { parseEngineConfig } from "./config/load-engine-config.ts";
import { type Engine, startEngine } from "./engine.ts";
import { PROCESS_METHOD } from "./kernel/processor.ts";
import { createLogger } from "./observability/log.ts";

const MAX_CONCURRENT_STREAMS = 3;
const call = CALL.map(([name, value]): [string, string] => {
  return [name, name === ":path" ? PROCESS_METHOD : value];
});

let folder: string;
let lines: string[];
const toStop: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "engine-transport-"));
  lines = [];
});
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
  await rm(folder, { recursive: true });
});

async function start({ limits = "{}", tls = "" }): Promise<Engine> {
  await Bun.write(join(folder, "routes.yaml"), "routes: []\n");
  const text = `
extProc: { address: "127.0.0.1:0"${tls === "" ? "" : `, tls: ${tls}`} }
health: { address: "127.0.0.1:0" }
admin: { address: "127.0.0.1:0" }
limits: ${limits}
routes: { path: routes.yaml, watch: false }
`;
  const { config, problems } = parseEngineConfig(text, join(folder, "policy-engine.yaml"));
  expect(problems).toEqual([]);
  const log = createLogger({ level: "info", format: "json", write: (line) => lines.push(line) });
  const engine = await startEngine(config!, { policies: [], build: BUILD, log });
  toStop.push(() => engine.stop());
  return engine;
}

function portOf({ addresses }: Engine): number {
  return Number(addresses.extProc.split(":")[1]);
}

function dial(engine: Engine): Socket {
  const socket = connect(portOf(engine), "127.0.0.1");
  toStop.push(() => socket.destroy());
  socket.on("error", () => {});
  socket.write(Buffer.concat([PREFACE, settings()]));
  return socket;
}

/** The first frame that fits. */
function frameOn(socket: Socket, fits: (frame: Frame) => boolean): Promise<Frame> {
  let bytes = Buffer.alloc(0);
  return new Promise((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const found = parseFrames(bytes).frames.find(fits);
      if (found !== undefined) resolve(found);
    });
  });
}

/** What comes first: the end of the connection, or the answer to a PING behind so many streams. */
async function afterStreams(engine: Engine, frames: (id: number) => Buffer[]): Promise<unknown> {
  const socket = dial(engine);
  const ids = Array.from({ length: 1_000 }, (_, at) => 2 * at + 1);
  socket.write(Buffer.concat([...ids.flatMap(frames), frame("PING", {}, Buffer.alloc(8))]));
  return (await frameOn(socket, ({ type }) => type === "GOAWAY" || type === "PING")).type;
}

describe("limits", () => {
  const FRAMES = {
    opened: (id: number) => [headers(id, call)],
    reset: (id: number) => [headers(id, call), reset(id)],
  };

  test.each<[string, keyof typeof FRAMES, string]>([
    ["{}", "reset", "PING"],
    ["{ resetsPerSecond: 100 }", "reset", "GOAWAY"],
    ["{ resetsPerSecond: 100 }", "opened", "PING"],
    ["{ streamsPerSecond: 100 }", "opened", "GOAWAY"],
    ["{ streamsPerSecond: 1000, resetsPerSecond: 1000 }", "reset", "PING"],
  ])("%s: 1,000 streams %s, then %s", async (limits, frames, first) => {
    expect(await afterStreams(await start({ limits }), FRAMES[frames])).toBe(first);
  });

  test("limits.streams is told to the peer", async () => {
    const socket = dial(await start({ limits: "{ streams: 321 }" }));
    const { payload } = await frameOn(socket, ({ type, flags }) => type === "SETTINGS" && flags === 0);
    const entries = Array.from({ length: payload.length / 6 }, (_, at) => [
      payload.readUInt16BE(6 * at),
      payload.readUInt32BE(6 * at + 2),
    ]);
    expect(entries).toContainEqual([MAX_CONCURRENT_STREAMS, 321]);
  });

  test("limits.connections: one more is closed, until another is gone", async () => {
    const engine = await start({ limits: "{ connections: 1 }" });
    const isSettings = ({ type }: Frame): boolean => type === "SETTINGS";
    const first = dial(engine);
    await frameOn(first, isSettings);
    await new Promise<void>((resolve) => dial(engine).resume().once("close", resolve));
    first.destroy();
    for (let served = false; !served; ) {
      const next = dial(engine);
      const closed = new Promise<boolean>((resolve) => next.once("close", () => resolve(false)));
      served = await Promise.race([frameOn(next, isSettings).then(() => true), closed]);
    }
  });
});

describe("extProc.tls", () => {
  const TLS = "{ certificate: a.crt, key: a.key }";

  function shown(engine: Engine): Promise<unknown> {
    const options = { host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] };
    return new Promise((resolve, reject) => {
      const socket = connectTls({ ...options, port: portOf(engine) });
      toStop.push(() => socket.destroy());
      socket.once("secureConnect", () => resolve(socket.getPeerCertificate().subject.CN));
      socket.once("error", reject);
    });
  }

  test("a reload takes what is in the files then", async () => {
    await makeAuthority(folder, "a");
    await makeAuthority(folder, "b");
    const engine = await start({ tls: TLS });
    expect(await shown(engine)).toBe("a");
    for (const kind of ["crt", "key"]) await copyFile(join(folder, `b.${kind}`), join(folder, `a.${kind}`));
    await engine.reload();
    expect(await shown(engine)).toBe("b");
    await rm(join(folder, "a.key"));
    await engine.reload();
    expect(await shown(engine)).toBe("b");
    expect(lines.filter((line) => line.includes('"level":"error"'))).toEqual([
      expect.stringContaining("Cannot renew the certificates"),
    ]);
  });

  test("files that cannot be used: the start fails with one message, and nothing is left", async () => {
    await expect(start({ tls: TLS })).rejects.toThrow(
      `Cannot read the certificate "${folder}/a.crt": ENOENT, a file that can be read is needed`,
    );
    expect(lines.filter((line) => line.includes('"Ready"'))).toEqual([]);
  });
});
