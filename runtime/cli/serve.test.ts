import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { Child } from "../../test/helpers/child.ts";
import { envoyMessage, GET } from "../../test/helpers/kernel.ts";
import { freePort } from "../../test/helpers/ports.ts";
import { waitFor } from "../../test/helpers/wait.ts";
import { PROCESS_METHOD } from "../kernel/processor.ts";
import { parseExposition } from "../observability/parse-exposition.ts";

// Programs start slowly on a machine under load.
setDefaultTimeout(60_000);

const PROGRAM = [process.execPath, join(import.meta.dir, "fixtures/engine.ts")];
const ROUTES = "routes: [{ route: r, policies: [{ name: tag, version: v1, parameters: { value: a } }] }]\n";

let folder: string;
const children: Child[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "serve-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.killNow();
    await child.exited;
  }
  await rm(folder, { recursive: true, force: true });
});

interface Settings {
  readonly routes?: string;
  /** Lines that take the place of those of the same key. */
  readonly config?: Readonly<Record<string, string>>;
}

async function start({ routes = ROUTES, config = {} }: Settings = {}): Promise<Child> {
  const keys: Record<string, string> = {
    extProc: '{ address: "127.0.0.1:0" }',
    health: '{ address: "127.0.0.1:0" }',
    admin: '{ address: "127.0.0.1:0" }',
    routes: "{ path: routes.yaml, watch: false }",
    ...config,
  };
  const text = Object.entries(keys).map(([key, value]) => `${key}: ${value}\n`);
  await Bun.write(join(folder, "policy-engine.yaml"), text.join(""));
  await Bun.write(join(folder, "routes.yaml"), routes);
  const child = new Child([...PROGRAM, "--config", join(folder, "policy-engine.yaml")], { cwd: folder });
  children.push(child);
  return child;
}

interface Line {
  readonly level: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

function logged(child: Child, message: string): Promise<Line> {
  return waitFor(`log line "${message}" in\n${child.output()}`, () => {
    const lines = child.lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Line);
    return lines.find((line) => line.message.includes(message));
  });
}

async function ready(child: Child): Promise<Readonly<Record<"extProc" | "health" | "admin", string>>> {
  const line = await Promise.race([logged(child, "Ready"), child.exited]);
  if (typeof line === "number") throw new Error(`It ended with ${line}\n${child.output()}`);
  return line.metadata as Record<"extProc" | "health" | "admin", string>;
}

/** Opens a stream for route `r`, sends request headers and leaves it open. */
function openStream(address: string): grpc.ClientDuplexStream<Buffer, Buffer> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set("x-route-name", "r");
  const identity = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest(PROCESS_METHOD, identity, identity, metadata);
  stream.on("error", () => client.close());
  stream.write(Buffer.from(envoyMessage("request_headers", { headers: GET })));
  return stream;
}

describe("serve", () => {
  test("001: starts, says what it loaded and where it listens, and ends with 0 on SIGTERM", async () => {
    const child = await start();
    const { health, admin } = await ready(child);
    expect((await logged(child, "Loaded 3 policy versions")).metadata.policies).toEqual([
      "stray:v1.0.0",
      "stuck:v1.0.0",
      "tag:v1.0.0",
    ]);
    expect((await logged(child, "Starting gRPC server on 127.0.0.1:0")).level).toBe("info");
    expect((await logged(child, 'Cannot load policy "broken:v1.0.0"')).level).toBe("error");
    expect((await fetch(`http://${health}/health/ready`)).status).toBe(200);
    expect(await (await fetch(`http://${admin}/status`)).json()).toMatchObject({ readiness: "ready" });
    child.signal("SIGTERM");
    expect(await child.exited).toBe(0);
    await logged(child, "Stopped");
  });

  test("ends with 0 on SIGINT", async () => {
    const child = await start();
    await ready(child);
    child.signal("SIGINT");
    expect(await child.exited).toBe(0);
  });

  test("SIGHUP reads the routes again, and a bad file changes nothing", async () => {
    const child = await start();
    const { admin } = await ready(child);
    await Bun.write(join(folder, "routes.yaml"), "routes: [{ route: other, policies: [] }]\n");
    child.signal("SIGHUP");
    await logged(child, "Applied configuration");
    const names = async (): Promise<string[]> => {
      const { routes } = (await (await fetch(`http://${admin}/config`)).json()) as {
        routes: { route: string }[];
      };
      return routes.map(({ route }) => route);
    };
    await waitFor("reread routes", async () => (await names()).join() === "other");
    await Bun.write(join(folder, "routes.yaml"), "routes: [");
    child.signal("SIGHUP");
    await logged(child, "Rejected configuration");
    expect(await names()).toEqual(["other"]);
  });

  test("FR-052: lives on after a rejection and an exception that nothing caught, and counts them", async () => {
    const child = await start({
      routes: "routes: [{ route: r, policies: [{ name: stray, version: v1 }] }]\n",
    });
    const { health } = await ready(child);
    expect((await logged(child, "Exception that nothing caught")).metadata.error).toMatchObject({
      message: "stray exception",
    });
    await logged(child, "Rejection that nothing waited for");
    const { samples } = parseExposition(await (await fetch(`http://${health}/metrics`)).text());
    const strays = samples.filter(({ name }) => name === "policy_kernel_stray_errors_total");
    expect(strays.map(({ labels, value }) => [labels.kind, value]).toSorted()).toEqual([
      ["exception", 1],
      ["rejection", 1],
    ]);
    expect((await fetch(`http://${health}/health/ready`)).status).toBe(200);
  });

  test("a second signal does not wait for streams in flight", async () => {
    const child = await start({
      routes: "routes: [{ route: r, policies: [{ name: stuck, version: v1 }] }]\n",
      config: { limits: "{ shutdownTimeout: 1h }" },
    });
    const { extProc, health } = await ready(child);
    const stream = openStream(extProc);
    await waitFor("a stream in flight", async () => {
      const text = await (await fetch(`http://${health}/metrics`)).text();
      return text.includes('policy_kernel_streams_active{worker="main"} 1');
    });
    child.signal("SIGTERM");
    await waitFor("not ready", async () => (await fetch(`http://${health}/health/ready`)).status === 503);
    expect(child.exitCode).toBeUndefined();
    child.signal("SIGTERM");
    expect(await child.exited).toBe(143);
    stream.destroy();
  });

  test("limits.shutdownTimeout ends streams that do not end", async () => {
    const child = await start({
      routes: "routes: [{ route: r, policies: [{ name: stuck, version: v1 }] }]\n",
      config: { limits: "{ shutdownTimeout: 50ms }" },
    });
    const stream = openStream((await ready(child)).extProc);
    const ended = new Promise((resolve) => stream.once("error", resolve));
    await waitFor("a stream in flight", async () => {
      const { health } = await ready(child);
      const text = await (await fetch(`http://${health}/metrics`)).text();
      return text.includes('policy_kernel_streams_active{worker="main"} 1');
    });
    child.signal("SIGTERM");
    expect(await child.exited).toBe(0);
    await ended;
  });

  test("a reader of the log that goes away does not end it", async () => {
    const port = await freePort();
    await start({ config: { health: `{ address: "127.0.0.1:${port}" }` } }).then((child) => child.kill());
    const command = [...PROGRAM, "--config", join(folder, "policy-engine.yaml")];
    const child = Bun.spawn(command, { cwd: folder, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    try {
      await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
      const reloads = async (): Promise<number> => {
        const response = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined);
        const { samples } = parseExposition((await response?.text()) ?? "");
        return samples
          .filter(({ name }) => name === "policy_kernel_config_reloads_total")
          .reduce((sum, { value }) => sum + value, 0);
      };
      // Each reload writes to the log.
      for (let count = 1; count <= 4; count++) {
        await waitFor(`reload ${count}`, async () => (await reloads()) === count);
        if (count < 4) child.kill("SIGHUP");
      }
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

describe("cannot start: one clear message, exit code 3", () => {
  async function failure(settings: Settings): Promise<string[]> {
    const child = await start(settings);
    expect(await child.exited).toBe(3);
    return child.lines.filter((line) => !line.startsWith("{"));
  }

  test.each(["extProc", "health", "admin"])("a port in use: %s", async (server) => {
    const other = createServer();
    const port = await new Promise<number>((resolve) => {
      other.listen(0, "127.0.0.1", () => resolve((other.address() as { port: number }).port));
    });
    const name = server === "extProc" ? "gRPC" : server;
    expect(await failure({ config: { [server]: `{ address: "127.0.0.1:${port}" }` } })).toEqual([
      `policy-engine: Cannot start the ${name} server on "127.0.0.1:${port}": the address is in use, a free one is needed`,
    ]);
    other.close();
  });

  test.each(["extProc", "health", "admin"])("a socket in a folder that is not there: %s", async (server) => {
    const address = `unix:${folder}/none/s.sock`;
    const [message, ...more] = await failure({ config: { [server]: `{ address: "${address}" }` } });
    expect(more).toEqual([]);
    expect(message).toStartWith("policy-engine: Cannot start the ");
    expect(message).toContain(`server on "${address}": folder "${folder}/none" is missing or not writable`);
  });

  test("a socket path that is a file", async () => {
    const path = join(folder, "file");
    await Bun.write(path, "precious");
    expect(await failure({ config: { extProc: `{ address: "unix:${path}" }` } })).toEqual([
      `policy-engine: Cannot start the gRPC server on "unix:${path}": the file exists and is not a socket`,
    ]);
    expect(await Bun.file(path).text()).toBe("precious");
  });

  test("a configuration that is not there, or wrong", async () => {
    const child = new Child([...PROGRAM, "-c", join(folder, "none.yaml")]);
    expect(await child.exited).toBe(3);
    expect(child.lines).toEqual([
      `${folder}/none.yaml:1:1: error: Cannot read configuration file "${folder}/none.yaml": it does not exist`,
    ]);
    const lines = await failure({ config: { onUnknownRoute: "maybe", helth: "{}" } });
    expect(lines.filter((line) => line.includes(": error: "))).toHaveLength(2);
  });

  test("US3: routes that are not there, or cannot be parsed", async () => {
    const [message] = await failure({ config: { routes: "{ path: none.yaml }" } });
    expect(message).toContain("none.yaml");
    expect(message).toContain("it does not exist");
    expect((await failure({ routes: "routes: [" })).join("\n")).toContain("routes.yaml:1:");
  });
});

describe("Unix sockets", () => {
  test("003 5: have mode 0600, stale ones give way, live ones do not", async () => {
    const path = (name: string): string => join(folder, `${name}.sock`);
    const config = Object.fromEntries(
      ["extProc", "health", "admin"].map((name) => [name, `{ address: "unix:${path(name)}" }`]),
    );
    const first = await start({ config });
    await ready(first);
    for (const name of ["extProc", "health", "admin"]) {
      expect((await stat(path(name))).mode & 0o777).toBe(0o600);
      await chmod(path(name), 0o600);
    }
    const second = await start({ config });
    expect(await second.exited).toBe(3);
    expect(second.output()).toContain("another process listens there");
    expect((await fetch("http://localhost/health/ready", { unix: path("health") })).status).toBe(200);
    first.killNow();
    await first.exited;
    const third = await start({ config });
    await ready(third);
    expect((await fetch("http://localhost/health/ready", { unix: path("health") })).status).toBe(200);
    expect(await third.kill()).toBe(0);
  });
});
