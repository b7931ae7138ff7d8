/**
 * CPU of the bare transports for each stream of one message and one answer, without Envoy: rounds of all of them in
 * turn, the median of each. `bun bench/transport/compare.ts [ROUNDS] [STREAMS]`
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuBetween, readCpu } from "../measure/cpu.ts";
import { summarise } from "../measure/statistics.ts";

const TRANSPORTS = ["grpc-js", "http2"] as const;
/** As Envoy does: one connection a worker, many streams. */
const CONNECTIONS = 1;
const STREAMS_AT_ONCE = 64;
/** About what Envoy says of a request with 20 headers. */
const MESSAGE_BYTES = 1_300;
const [rounds = 5, streams = 100_000] = process.argv.slice(2).map(Number);

interface Server {
  readonly name: string;
  readonly child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly address: string;
}

const folder = await mkdtemp(join(tmpdir(), "bench-transport-"));
const message = Buffer.alloc(5 + MESSAGE_BYTES);
message.writeUInt32BE(MESSAGE_BYTES, 1);
const file = join(folder, "message");
await writeFile(file, message);
const servers = await Promise.all(TRANSPORTS.map(start));
try {
  const figures = new Map<string, { cpu: number; rate: number }[]>(TRANSPORTS.map((name) => [name, []]));
  for (const server of servers) await load(server, streams / 4);
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? servers : servers.toReversed();
    for (const server of order) figures.get(server.name)!.push(await load(server, streams));
  }
  console.log("| transport | us of CPU a stream | streams a second |\n| --- | --- | --- |");
  for (const [name, found] of figures) {
    const cpu = summarise(found.map((figure) => figure.cpu));
    const rate = summarise(found.map((figure) => figure.rate));
    const spread = `${cpu.median.toFixed(2)} (${cpu.min.toFixed(2)} to ${cpu.max.toFixed(2)})`;
    console.log(`| ${name} | ${spread} | ${Math.round(rate.median)} |`);
  }
} finally {
  for (const { child } of servers) child.kill();
  await rm(folder, { recursive: true });
}

async function start(name: string): Promise<Server> {
  const command = [process.execPath, join(import.meta.dir, "serve.ts"), name];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  for await (const line of child.stdout) {
    return { name, child, address: new TextDecoder().decode(line).trim() };
  }
  throw new Error(`Cannot measure "${name}": the server ended, see what it says above`);
}

async function load({ child, address }: Server, count: number): Promise<{ cpu: number; rate: number }> {
  const before = readCpu(child.pid);
  const startedAt = performance.now();
  const run = Bun.spawn(
    [
      ...["h2load", "-n", String(count), "-c", String(CONNECTIONS), "-m", String(STREAMS_AT_ONCE)],
      ...["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", file],
      `http://${address}/bench.Echo/Process`,
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const said = await run.stdout.text();
  const seconds = (performance.now() - startedAt) / 1_000;
  const done = Number(/(\d+) succeeded/.exec(said)?.[1] ?? 0);
  if (done !== count) throw new Error(`Cannot measure: ${done} of ${count} streams ended well\n${said}`);
  return { cpu: cpuBetween(before, readCpu(child.pid)) / count / 1_000, rate: count / seconds };
}
