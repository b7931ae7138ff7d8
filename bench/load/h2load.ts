/** Runs h2load, which makes the load, and reads what it says. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCores } from "../measure/cores.ts";

/** What every run needs to know. */
export interface LoadTarget {
  readonly port: number;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The file that is posted; undefined: the requests are GET. */
  readonly body: string | undefined;
  /** Cores of the load; undefined: any. */
  readonly cores: string | undefined;
}

/** As much as goes through: so many requests are always under way. */
export interface SaturatingLoad {
  readonly connections: number;
  readonly requestsAtOnce: number;
  readonly seconds: number;
}

/** So many requests a second, whatever becomes of them. */
export interface SteadyLoad {
  readonly rate: number;
  readonly seconds: number;
}

export interface LoadReport {
  readonly requests: number;
  readonly perSecond: number;
  /** Ascending, in microseconds, where they were asked for. */
  readonly latencies: Uint32Array;
}

/** As many requests wait for an answer on one connection at most: beyond that the rate cannot be held. */
const WAITING_ON_ONE_CONNECTION = 16;
/**
 * h2load looks at a connection's rate every 10 ms at most. Connections that begin 1 ms apart and look every
 * N/rate seconds send evenly, not all at once, where the one is no multiple of the other: 51 connections at 5,000
 * requests a second look every 10.2 ms, each at another fifth of a millisecond.
 */
const MS_A_LOOK = 10.2;
/** libev's select() backend, whose timers do not wait for whole milliseconds. */
const FINE_TIMERS = { LIBEV_FLAGS: "1" };

/** @throws {Error} If h2load is missing; the message says how to get it. */
export async function h2loadVersion(): Promise<string> {
  if (Bun.which("h2load") === null) {
    throw new Error(
      'Cannot make load: "h2load" is not on PATH, nghttp2\'s client programs are needed (Debian, Ubuntu: apt-get install nghttp2-client; Fedora: dnf install nghttp2; Alpine: apk add nghttp2)',
    );
  }
  const text = await Bun.spawn(["h2load", "--version"], { stdout: "pipe" }).stdout.text();
  return /nghttp2\/(\S+)/.exec(text)?.[1] ?? "unknown";
}

/** @throws {Error} If h2load fails or any request does. */
export function saturate(target: LoadTarget, load: SaturatingLoad & { log?: boolean }): Promise<LoadReport> {
  const { connections, requestsAtOnce, seconds } = load;
  const options = [
    "-c",
    String(connections),
    "-m",
    String(requestsAtOnce),
    "-D",
    `${Math.round(seconds * 1000)}ms`,
  ];
  return run(target, { options, log: load.log === true });
}

/**
 * Opens so many requests, some thousands a second, and waits for all answers, however long they take.
 * @throws {Error} If h2load fails or any request does.
 */
export function holdOpen(
  target: LoadTarget,
  { requests, onOneConnection }: { requests: number; onOneConnection: number },
): Promise<LoadReport> {
  const connections = Math.ceil(requests / onOneConnection);
  const options = ["-c", String(connections), "-m", String(onOneConnection), "-n", String(requests)];
  options.push("-r", "5", "--rate-period=100ms");
  return run(target, { options, log: false });
}

/**
 * Sends at a steady rate. What the report says of requests a second is less where the rate could not be held.
 * @throws {Error} If h2load fails or any request does.
 */
export async function holdRate(target: LoadTarget, { rate, seconds }: SteadyLoad): Promise<LoadReport> {
  const connections = Math.max(1, Math.round((rate * MS_A_LOOK) / 1000));
  const each = Math.round((rate * seconds) / connections);
  const options = [
    ...["-c", String(connections), "-n", String(each * connections), "-r", "1", "--rate-period=1ms"],
    ...["--rps", String(rate / connections), "-m", String(WAITING_ON_ONE_CONNECTION)],
  ];
  const report = await run(target, { options, log: true });
  // Connections begin one after the other; each then sends for as long.
  const spread = connections / 1000;
  return { ...report, perSecond: report.requests / (report.requests / report.perSecond - spread) };
}

async function run(
  target: LoadTarget,
  { options, log }: { options: readonly string[]; log: boolean },
): Promise<LoadReport> {
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-load-"));
  const logFile = join(folder, "log");
  try {
    const headers = target.headers.flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
    const body = target.body === undefined ? [] : ["-d", target.body];
    const command = [
      ...["h2load", ...options, ...headers, ...body, ...(log ? [`--log-file=${logFile}`] : [])],
      `http://127.0.0.1:${target.port}${target.path}`,
    ];
    const child = Bun.spawn(onCores(target.cores, command), {
      env: { ...process.env, ...FINE_TIMERS },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [text, complaint] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(`Cannot make load: h2load failed\n${complaint || text}`);
    const latencies = log ? parseLog(await Bun.file(logFile).text()) : new Uint32Array(0);
    return { ...parseSummary(text), latencies };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads h2load's closing lines. @throws {Error} If they are not there or a request failed. */
export function parseSummary(text: string): { requests: number; perSecond: number } {
  const perSecond = Number(/finished in [^,]+, ([\d.]+) req\/s/.exec(text)?.[1]);
  const counts = /requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(
    text,
  );
  const good = Number(/status codes: (\d+) 2xx/.exec(text)?.[1]);
  if (counts === null || Number.isNaN(perSecond) || Number.isNaN(good)) {
    throw new Error(`Cannot read what h2load says: it is not as expected\n${text}`);
  }
  const [, , succeeded = "", ...wrong] = counts;
  if (good !== Number(succeeded) || wrong.some((count) => Number(count) > 0) || good === 0) {
    throw new Error(`Cannot use a run: not every request was answered with 2xx\n${counts[0]}, ${good} 2xx`);
  }
  return { requests: good, perSecond };
}

/** Reads h2load's log: a line per request of its start, its status and its time in microseconds. */
export function parseLog(text: string): Uint32Array {
  const lines = text.trimEnd().split("\n");
  const times = new Uint32Array(lines.length);
  for (const [index, line] of lines.entries()) times[index] = Number(line.slice(line.lastIndexOf("\t") + 1));
  return times.sort();
}
