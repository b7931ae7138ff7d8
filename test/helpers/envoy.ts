import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findEnvoy } from "../../scripts/fetch-envoy.ts";
import { Child } from "./child.ts";
import { waitFor } from "./wait.ts";

/** An Envoy configuration as an object; JSON is YAML to Envoy. */
export type EnvoyBootstrap = Record<string, unknown>;

export interface EnvoyOptions {
  readonly config: EnvoyBootstrap;
  /** Worker threads. Default: 1. */
  readonly concurrency?: number;
  /** Default: `error`. */
  readonly logLevel?: string;
  /** A command that runs it, such as taskset with its arguments. Default: none. */
  readonly runner?: readonly string[];
}

let binary: Promise<string> | undefined;

/** The path of Envoy's executable, found or fetched once. */
export function envoyBinary(): Promise<string> {
  binary ??= findEnvoy().then((envoy) => envoy.path);
  return binary;
}

/** Starts Envoy and waits until it is ready. Ports may be 0: the real ones are asked for. */
export async function startEnvoy(options: EnvoyOptions): Promise<RunningEnvoy> {
  const path = await envoyBinary();
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-envoy-"));
  const file = join(folder, "envoy.json");
  const adminFile = join(folder, "admin-address");
  await Bun.write(file, JSON.stringify(options.config));
  const child = new Child([
    ...[
      ...(options.runner ?? []),
      path,
      "-c",
      file,
      "--admin-address-path",
      adminFile,
      "--disable-hot-restart",
    ],
    ...["--concurrency", String(options.concurrency ?? 1), "-l", options.logLevel ?? "error"],
    // What is in the access log is there at once, not after Envoy's ten seconds.
    ...["--file-flush-interval-msec", "50"],
  ]);
  try {
    const admin = await waitFor("ready Envoy", async () => {
      if (child.exitCode !== undefined) throw new Error(`Cannot start Envoy: it exited\n${child.output()}`);
      const address = Bun.file(adminFile);
      const text = (await address.exists()) ? (await address.text()).trim() : "";
      return text !== "" && (await isReady(text)) && text;
    });
    return new RunningEnvoy(child, { admin, folder, ports: await listenerPorts(admin) });
  } catch (error) {
    await child.kill();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** What Envoy's `--mode validate` says of a configuration, as text (YAML or JSON). */
export async function validateEnvoyConfig(text: string): Promise<{ valid: boolean; output: string }> {
  const path = await envoyBinary();
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-envoy-"));
  try {
    const file = join(folder, "envoy.yaml");
    await Bun.write(file, text);
    const child = new Child([path, "--mode", "validate", "-c", file, "-l", "error", "--disable-hot-restart"]);
    const code = await child.exited;
    return { valid: code === 0, output: child.output() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An Envoy at work. */
export class RunningEnvoy {
  /** The port of the first listener. */
  readonly port: number;
  readonly #child: Child;
  readonly #admin: string;
  readonly #folder: string;

  constructor(child: Child, facts: { admin: string; folder: string; ports: readonly number[] }) {
    const [port] = facts.ports;
    if (port === undefined) throw new Error("Cannot use Envoy: it has no listener, one is needed");
    this.#child = child;
    this.#admin = facts.admin;
    this.#folder = facts.folder;
    this.port = port;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Everything Envoy wrote to its log. */
  log(): string {
    return this.#child.output();
  }

  /** Counters and gauges by name; those whose name contains `filter`. */
  async stats(filter = ""): Promise<ReadonlyMap<string, number>> {
    const response = await fetch(`http://${this.#admin}/stats?usedonly`);
    const found = new Map<string, number>();
    for (const line of (await response.text()).split("\n")) {
      const [name = "", value = ""] = line.split(": ");
      if (name.includes(filter) && /^\d+$/.test(value)) found.set(name, Number(value));
    }
    return found;
  }

  async stop(): Promise<void> {
    await this.#child.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function isReady(admin: string): Promise<boolean> {
  try {
    return (await fetch(`http://${admin}/ready`)).status === 200;
  } catch {
    return false;
  }
}

interface ListenerStatus {
  readonly local_address: { readonly socket_address?: { readonly port_value: number } };
}

async function listenerPorts(admin: string): Promise<number[]> {
  const response = await fetch(`http://${admin}/listeners?format=json`);
  const { listener_statuses = [] } = (await response.json()) as { listener_statuses?: ListenerStatus[] };
  return listener_statuses.flatMap(({ local_address }) => local_address.socket_address?.port_value ?? []);
}
