// What Envoy reaches the engine over: the executable, its own `envoy-config`, and the real Envoy between.
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { parse } from "yaml";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import { Child } from "../helpers/child.ts";
import { type EngineOptions, type RunningEngine, startEngine } from "../helpers/engine.ts";
import type { Link } from "../helpers/engine-link.ts";
import { type EnvoyBootstrap, type RunningEnvoy, startEnvoy } from "../helpers/envoy.ts";
import { request } from "../helpers/http.ts";
import { startUpstream, type Upstream } from "../helpers/upstream.ts";
import { waitFor } from "../helpers/wait.ts";
import { makeAuthority, makeCertificate } from "../transport/certificates.ts";

setDefaultTimeout(BUILD_TIMEOUT_MS);

const ROUTES = [
  {
    route: "both",
    policies: [
      { name: "tag", parameters: { label: "1" } },
      { name: "tag-response", parameters: { label: "a" } },
    ],
  },
];

const toStop: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
});

async function engineOver(link: Link, options: Partial<EngineOptions> = {}): Promise<RunningEngine> {
  const engine = await startEngine({ routes: ROUTES, link, ...options });
  toStop.push(() => engine.stop());
  return engine;
}

async function upstream(): Promise<Upstream> {
  const started = await startUpstream();
  toStop.push(() => started.stop());
  return started;
}

/** What `envoy-config` of the executable prints, with ports that are free. */
async function generated(engine: RunningEngine, { address }: Upstream): Promise<EnvoyBootstrap> {
  const { tls } = engine;
  const own = tls?.certificate !== undefined;
  const child = new Child([
    ...[await testEngine(), "envoy-config", "--config", join(engine.folder, "policy-engine.yaml")],
    ...["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", address],
    ...(tls ? ["--tls-ca", tls.authority] : []),
    ...(own ? ["--tls-certificate", tls.certificate!, "--tls-key", tls.key!] : []),
  ]);
  const code = await child.exited;
  expect([code, code === 0 ? "" : child.output()]).toEqual([0, ""]);
  return parse(child.output()) as EnvoyBootstrap;
}

// biome-ignore lint/suspicious/noExplicitAny: a configuration that tests reach into
type Tree = any;

async function envoyOf(
  config: EnvoyBootstrap,
  change: (socket: Tree) => void = () => {},
): Promise<RunningEnvoy> {
  const bootstrap: Tree = config;
  const [cluster] = bootstrap.static_resources.clusters;
  change(cluster.transport_socket?.typed_config);
  const envoy = await startEnvoy({ config });
  toStop.push(() => envoy.stop());
  return envoy;
}

/** Whether both policies ran; or the status, where they did not. */
async function outcome(envoy: RunningEnvoy): Promise<string> {
  const response = await request(envoy.port, { path: "/both" });
  if (response.status !== 200) return String(response.status);
  return `${response.echo().header("x-trace")}${response.header("x-trace")}`;
}

/** What the engine says to a client of its own making. */
async function handshake(engine: RunningEngine, options: ConnectionOptions): Promise<string> {
  const port = Number(engine.extProc.split(":")[1]);
  const all = { host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"], ...options };
  const socket = connectTls(all);
  toStop.push(async () => socket.destroy());
  return await new Promise((resolve) => {
    socket.once("secureConnect", () => {
      resolve(`${socket.getPeerCertificate().subject.CN} ${socket.getProtocol()} ${socket.alpnProtocol}`);
    });
    socket.once("error", () => resolve("refused"));
    socket.once("close", () => resolve("refused"));
  });
}

describe("issue 6: the executable behind Envoy, as envoy-config says", () => {
  test.each<[Link]>([["tcp"], ["unix"], ["tls"], ["mutual-tls"]])("over %s", async (link) => {
    const engine = await engineOver(link);
    const envoy = await envoyOf(await generated(engine, await upstream()));
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => outcome(envoy)));
    expect(new Set(outcomes)).toEqual(new Set(["1a"]));
    const stats = await envoy.stats("cluster.policy_engine.ssl.handshake");
    expect(stats.has("cluster.policy_engine.ssl.handshake")).toBe(link.endsWith("tls"));
    expect(engine.logs().filter(({ level }) => level === "error")).toEqual([]);
  });

  test.each<[Link]>([["unix"], ["mutual-tls"]])(
    "SIGTERM lets streams in flight finish over %s",
    async (link) => {
      const engine = await engineOver(link);
      const behind = await upstream();
      const envoy = await envoyOf(await generated(engine, behind));
      const { promise: until, resolve: answer } = Promise.withResolvers<void>();
      behind.on("/both/slow", { until });
      const inFlight = Promise.all(
        Array.from({ length: 20 }, () => request(envoy.port, { path: "/both/slow" })),
      );
      await waitFor("20 requests at the upstream", () => behind.requests.length === 20);
      engine.signal("SIGTERM");
      await waitFor("an engine that is not ready", async () => !(await engine.isReady()));
      answer();
      expect((await inFlight).map((response) => response.header("x-trace"))).toEqual(
        Array.from({ length: 20 }, () => "a"),
      );
      expect(await engine.exited).toBe(0);
    },
  );
});

describe("TLS fails closed", () => {
  test("Envoy that speaks cleartext to an engine with TLS, and TLS to one without", async () => {
    const [secure, plain] = [await engineOver("tls"), await engineOver("tcp")];
    const behind = await upstream();
    const config: Tree = await generated(secure, behind);
    const other: Tree = await generated(plain, behind);
    const [cluster, otherCluster] = [config.static_resources.clusters[0], other.static_resources.clusters[0]];
    otherCluster.transport_socket = cluster.transport_socket;
    delete cluster.transport_socket;
    expect(await outcome(await envoyOf(config))).toBe("500");
    expect(await outcome(await envoyOf(other))).toBe("500");
    expect(behind.requests).toEqual([]);
    expect(await secure.isReady()).toBe(true);
  });

  test("Envoy refuses an engine of another authority, or of another name", async () => {
    const engine = await engineOver("tls");
    const behind = await upstream();
    const config = JSON.stringify(await generated(engine, behind));
    const other = await makeAuthority(engine.folder, "other");
    const changes: ((context: Tree) => void)[] = [
      (context) => (context.trusted_ca.filename = other.cert),
      (context) => (context.match_typed_subject_alt_names[0].matcher.exact = "other.example"),
    ];
    for (const change of changes) {
      const envoy = await envoyOf(JSON.parse(config), ({ common_tls_context }) =>
        change(common_tls_context.validation_context),
      );
      expect(await outcome(envoy)).toBe("500");
    }
    expect(await outcome(await envoyOf(JSON.parse(config)))).toBe("1a");
    expect(behind.requests).toHaveLength(1);
  });

  test("mutual TLS: an Envoy without a certificate, or with one of another authority, is refused", async () => {
    const engine = await engineOver("mutual-tls");
    const behind = await upstream();
    const config = JSON.stringify(await generated(engine, behind));
    const other = await makeAuthority(engine.folder, "other");
    const stranger = await makeCertificate(engine.folder, "stranger", other);
    const changes: ((context: Tree) => void)[] = [
      (context) => delete context.tls_certificates,
      ({ tls_certificates: [own] }) => {
        own.certificate_chain.filename = stranger.cert;
        own.private_key.filename = stranger.key;
      },
    ];
    for (const change of changes) {
      const envoy = await envoyOf(JSON.parse(config), ({ common_tls_context }) => change(common_tls_context));
      expect(await outcome(envoy)).toBe("500");
    }
    expect(await outcome(await envoyOf(JSON.parse(config)))).toBe("1a");
    expect(behind.requests).toHaveLength(1);
    expect(await engine.metric("policy_kernel_requests_total")).toBe(1);
  });

  test("TLS 1.2 and 1.3 with ALPN h2, and nothing else", async () => {
    const engine = await engineOver("tls");
    expect(await handshake(engine, { maxVersion: "TLSv1.2" })).toBe("engine TLSv1.2 h2");
    expect(await handshake(engine, { minVersion: "TLSv1.3" })).toBe("engine TLSv1.3 h2");
    // A client that would speak it, so that it is the engine who refuses.
    const old = ["-connect", engine.extProc, "-tls1_1", "-alpn", "h2", "-cipher", "DEFAULT@SECLEVEL=0"];
    const client = new Child(["openssl", "s_client", ...old]);
    await client.exited;
    expect(client.output()).toContain("alert protocol version");
    expect(await handshake(engine, { ALPNProtocols: ["http/1.1"] })).toBe("refused");
  });
});

describe("certificates", () => {
  async function replace(engine: RunningEngine, name: string): Promise<void> {
    for (const kind of ["crt", "key"]) {
      await copyFile(join(engine.folder, `${name}.${kind}`), join(engine.folder, "aside"));
      await rename(join(engine.folder, "aside"), join(engine.folder, `engine.${kind}`));
    }
  }

  test("are replaced while traffic flows: no request is lost, new connections get the new ones", async () => {
    const engine = await engineOver("mutual-tls");
    const files = { cert: join(engine.folder, "authority.crt"), key: join(engine.folder, "authority.key") };
    await makeCertificate(engine.folder, "renewed", files);
    const config = JSON.stringify(await generated(engine, await upstream()));
    const before = await envoyOf(JSON.parse(config));
    const outcomes: string[] = [];
    let flows = true;
    const traffic = (async () => {
      while (flows) outcomes.push(await outcome(before));
    })();
    await waitFor("traffic", () => outcomes.length > 20);
    const since = engine.logs().length;
    await replace(engine, "renewed");
    engine.signal("SIGHUP");
    await engine.waitForLog("Certificates are renewed", since);
    const after = await envoyOf(JSON.parse(config));
    expect(await outcome(after)).toBe("1a");
    const [cert, key] = [
      Bun.file(join(engine.folder, "envoy.crt")),
      Bun.file(join(engine.folder, "envoy.key")),
    ];
    const identity = { cert: await cert.text(), key: await key.text() };
    expect(await handshake(engine, identity)).toStartWith("renewed ");
    const count = outcomes.length;
    await waitFor("more traffic", () => outcomes.length > count + 20);
    flows = false;
    await traffic;
    expect(new Set(outcomes)).toEqual(new Set(["1a"]));
    expect(
      (await before.stats("policy_engine.upstream_cx_")).get("cluster.policy_engine.upstream_cx_total"),
    ).toBe(1);
  });

  test("that are broken change nothing, and are noticed without a signal", async () => {
    const engine = await engineOver("tls");
    const config = await generated(engine, await upstream());
    const since = engine.logs().length;
    await Bun.write(join(engine.folder, "engine.crt"), "nonsense");
    const { level } = await engine.waitForLog("Cannot renew the certificates", since);
    expect(level).toBe("error");
    expect(await handshake(engine, {})).toStartWith("engine ");
    expect(await outcome(await envoyOf(config))).toBe("1a");
  });
});

describe("Unix sockets", () => {
  test("have mode 0600, are taken over from an engine that was killed", async () => {
    const first = await engineOver("unix");
    const path = first.extProc.slice("unix:".length);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    first.signal("SIGKILL");
    await first.exited;
    const second = await engineOver("unix", { config: { extProc: { address: first.extProc } } });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const envoy = await envoyOf(await generated(second, await upstream()));
    expect(await outcome(envoy)).toBe("1a");
  });

  test("are not taken from an engine that lives: exit code 3", async () => {
    const first = await engineOver("unix");
    const second = await engineOver("unix", {
      config: { extProc: { address: first.extProc } },
      untilReady: false,
    });
    expect(await second.exited).toBe(3);
    expect(second.output()).toContain("another process listens there");
    const envoy = await envoyOf(await generated(first, await upstream()));
    expect(await outcome(envoy)).toBe("1a");
  });
});
