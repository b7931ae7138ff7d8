import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import type { EngineTls } from "../../runtime/cli/tls-socket.ts";
import { testEngine } from "./build.ts";
import { Child } from "./child.ts";
import { defaultLink, type Link, makeLink } from "./engine-link.ts";
import { freePort } from "./ports.ts";
import { waitFor } from "./wait.ts";

export interface PolicySpec {
  readonly name: string;
  readonly version?: string;
  readonly enabled?: boolean;
  readonly parameters?: Record<string, unknown>;
  readonly [key: string]: unknown;
}

export interface RouteSpec {
  readonly route: string;
  readonly policies: readonly PolicySpec[];
  readonly [key: string]: unknown;
}

export interface EngineOptions {
  /** Routes, or the text of the route file. */
  readonly routes: readonly RouteSpec[] | string;
  /** Keys of policy-engine.yaml that take the place of the test's own. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Default: the executable with the test policies. */
  readonly executable?: string;
  /** Environment variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** What Envoy reaches it over. Default: what $POLICY_ENGINE_TEST_LINK says, or `tcp`. */
  readonly link?: Link;
  /** Whether to wait for `/health/ready`. Default: true. */
  readonly untilReady?: boolean;
  /** A command that runs it, such as taskset with its arguments. Default: none. */
  readonly runner?: readonly string[];
}

/** A line of the engine's log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly component?: string;
  readonly request_id?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** Policies without a version are of v1.0.0. */
function routesText(routes: EngineOptions["routes"]): string {
  if (typeof routes === "string") return routes;
  return stringify({
    routes: routes.map((route) => ({
      ...route,
      policies: route.policies.map((policy) => ({ version: "v1.0.0", ...policy })),
    })),
  });
}

/** Starts the compiled executable in a folder of its own and waits until it is ready. */
export async function startEngine(options: EngineOptions): Promise<RunningEngine> {
  const executable = options.executable ?? (await testEngine());
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-"));
  const link = await makeLink(options.link ?? defaultLink(), folder);
  const [health, admin] = [await freePort(), await freePort()];
  const config = {
    health: { address: `127.0.0.1:${health}` },
    admin: { address: `127.0.0.1:${admin}` },
    routes: { path: join(folder, "routes.yaml") },
    log: { level: "info", format: "json" },
    ...options.config,
    // As Envoy's in stack.ts: a machine under load must not turn a decision into a timeout.
    extProc: {
      ...link.extProc,
      messageTimeout: "10s",
      ...(options.config?.extProc as { address?: string } | undefined),
    },
  };
  await Bun.write(join(folder, "policy-engine.yaml"), stringify(config));
  await Bun.write(join(folder, "routes.yaml"), routesText(options.routes));
  const command = [...(options.runner ?? []), executable, "--config", join(folder, "policy-engine.yaml")];
  const child = new Child(command, { cwd: folder, env: { ...process.env, ...options.env } });
  const engine = new RunningEngine(child, {
    folder,
    extProc: config.extProc.address,
    tls: link.tls,
    health: `127.0.0.1:${health}`,
    admin: `127.0.0.1:${admin}`,
  });
  if (options.untilReady === false) return engine;
  try {
    await waitFor("ready engine", () => {
      if (child.exitCode !== undefined) {
        throw new Error(`Cannot start the engine: it exited with ${child.exitCode}\n${child.output()}`);
      }
      return engine.isReady();
    });
  } catch (error) {
    await engine.stop();
    throw error;
  }
  return engine;
}

/** The compiled executable at work. */
export class RunningEngine {
  readonly folder: string;
  /** Where it serves ext_proc: `host:port` or `unix:/path`. */
  readonly extProc: string;
  /** What Envoy needs to reach it, where there is TLS. */
  readonly tls: EngineTls | undefined;
  readonly health: string;
  readonly admin: string;
  readonly #child: Child;
  #writes = 0;

  constructor(child: Child, facts: Pick<RunningEngine, "folder" | "extProc" | "tls" | "health" | "admin">) {
    this.#child = child;
    this.folder = facts.folder;
    this.extProc = facts.extProc;
    this.tls = facts.tls;
    this.health = facts.health;
    this.admin = facts.admin;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  /** Everything it wrote. */
  output(): string {
    return this.#child.output();
  }

  /** Its log so far; lines that are no JSON are left out. */
  logs(): LogLine[] {
    return this.#child.lines
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Waits for a line of the log that contains the text, from line `since` on. */
  waitForLog(text: string, since = 0): Promise<LogLine> {
    const find = () =>
      this.logs()
        .slice(since)
        .find((line) => JSON.stringify(line).includes(text));
    return waitFor(`log line with "${text}"`, find, { detail: () => this.output() });
  }

  async isReady(): Promise<boolean> {
    return (await this.get("/health/ready").catch(() => undefined))?.status === 200;
  }

  /** A path on the health port, such as `/metrics`. */
  get(path: string): Promise<Response> {
    return fetch(`http://${this.health}${path}`);
  }

  /** A path on the admin port, such as `/config`. */
  getAdmin(path: string): Promise<Response> {
    return fetch(`http://${this.admin}${path}`);
  }

  /** Sums the samples of a metric whose labels contain all of these. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await this.get("/metrics")).text();
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    let sum = 0;
    for (const line of text.split("\n")) {
      const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (sample?.[1] === name && wanted.every((pair) => sample[2]?.includes(pair))) sum += Number(sample[3]);
    }
    return sum;
  }

  /** Puts other routes into the watched file, the way editors do: a new file moved over the old one. */
  async writeRoutes(routes: EngineOptions["routes"]): Promise<void> {
    this.#writes += 1;
    const aside = join(this.folder, `.routes-${this.#writes}`);
    await Bun.write(aside, routesText(routes));
    await rename(aside, join(this.folder, "routes.yaml"));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.signal(signal);
  }

  /** Ends it and returns its exit code. */
  async stop(): Promise<number> {
    const code = await this.#child.kill();
    await rm(this.folder, { recursive: true, force: true });
    return code;
  }
}
