import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatProblem } from "../document/problem.ts";
import { temporaryFolder } from "./config-fixtures.ts";
import { loadEngineConfig, parseEngineConfig } from "./load-engine-config.ts";

const MIB = 1024 * 1024;

function problemsOf(text: string): string[] {
  const { config, problems } = parseEngineConfig(text, "policy-engine.yaml");
  expect(config).toBeUndefined();
  return problems.map(formatProblem);
}

describe("parseEngineConfig()", () => {
  test("fills in every default", () => {
    const { config, problems } = parseEngineConfig(
      "routes: { path: routes.yaml }",
      "conf/policy-engine.yaml",
    );
    expect(problems).toEqual([]);
    expect(config).toEqual({
      file: "conf/policy-engine.yaml",
      extProc: {
        address: { kind: "tcp", host: "0.0.0.0", port: 9001, text: "0.0.0.0:9001" },
        messageTimeoutMs: 1000,
        tls: undefined,
      },
      health: { address: { kind: "tcp", host: "0.0.0.0", port: 9090, text: "0.0.0.0:9090" } },
      admin: { address: { kind: "tcp", host: "127.0.0.1", port: 9002, text: "127.0.0.1:9002" } },
      metadata: {},
      routes: { path: "conf/routes.yaml", watch: true },
      onUnknownRoute: "allow",
      onMissingRouteKey: "deny",
      defaultRoute: undefined,
      routeKey: undefined,
      limits: {
        bodyBytes: 10 * MIB,
        bodyMemory: 256 * MIB,
        bodyWaitMs: 30_000,
        createTimeoutMs: 10_000,
        shutdownTimeoutMs: 20_000,
        routeFileBytes: 16 * MIB,
        routeFiles: 256,
        routes: 10_000,
        policiesPerRoute: 100,
        connections: 10_000,
        streams: 100_000,
        streamsPerSecond: 0,
        resetsPerSecond: 0,
      },
      denials: { format: "text", metadataNamespace: undefined },
      log: { level: "info", format: "auto", sampleRate: 0 },
    });
  });

  test("takes every key", () => {
    const { config, problems } = parseEngineConfig(
      `
extProc:
  address: "unix:/run/policy-engine/extproc.sock"
  messageTimeout: 250ms
  tls: { certificate: server.crt, key: /keys/server.key, clientCertificates: ../ca.crt }
health: { address: "[::1]:0" }
admin: { address: "localhost:9002" }
metadata: { environment: staging }
routes: { path: /etc/routes, watch: false }
onUnknownRoute: deny
defaultRoute: fallback
routeKey: { metadataNamespace: my.routes, metadataKey: route }
limits:
  bodyBytes: 1048576
  bodyMemory: 64MiB
  bodyWait: 1.5s
  createTimeout: 1m
  shutdownTimeout: 0s
  routeFileBytes: 64KiB
  routeFiles: 5
  routes: 7
  policiesPerRoute: 3
  connections: 10
  streams: 1000
  streamsPerSecond: 500
  resetsPerSecond: 200
denials: { format: problem, metadataNamespace: decisions }
log: { level: debug, format: text, sampleRate: 0.01 }
`,
      "conf/policy-engine.yaml",
    );
    expect(problems).toEqual([]);
    expect(config).toMatchObject({
      extProc: {
        address: { kind: "unix", path: "/run/policy-engine/extproc.sock" },
        messageTimeoutMs: 250,
        tls: { certificate: "conf/server.crt", key: "/keys/server.key", clientCertificates: "ca.crt" },
      },
      health: { address: { kind: "tcp", host: "::1", port: 0 } },
      admin: { address: { host: "localhost" } },
      metadata: { environment: "staging" },
      routes: { path: "/etc/routes", watch: false },
      onUnknownRoute: "deny",
      defaultRoute: "fallback",
      routeKey: { metadataNamespace: "my.routes", metadataKey: "route" },
      limits: {
        bodyBytes: MIB,
        bodyMemory: 64 * MIB,
        bodyWaitMs: 1500,
        createTimeoutMs: 60_000,
        shutdownTimeoutMs: 0,
        routeFileBytes: 65_536,
        routeFiles: 5,
        routes: 7,
        policiesPerRoute: 3,
        connections: 10,
        streams: 1000,
        streamsPerSecond: 500,
        resetsPerSecond: 200,
      },
      denials: { format: "problem", metadataNamespace: "decisions" },
      log: { level: "debug", format: "text", sampleRate: 0.01 },
    });
  });

  test("FR-012: reports everything at once, sorted, each at its place", () => {
    const problems = problemsOf(`extProc: { adress: "0.0.0.0:9001", messageTimeout: 5 }
routes: { path: 5 }
limits:
  bodyBytes: 10MB
  routes: 0
onUnknownRoute: maybe
`);
    expect(problems.map((line) => line.split(":").slice(1, 3).join(":"))).toEqual([
      "1:12",
      "1:52",
      "2:17",
      "4:14",
      "5:11",
      "6:17",
    ]);
  });

  test.each([
    ["{ certificate: a.crt }", "key"],
    ["{ key: a.key }", "certificate"],
    ["{ certificate: a.crt, key: 5 }", "key"],
    ["{ certificate: a.crt, key: a.key, ca: a.crt }", "ca"],
    ["a.crt", "tls"],
    ["", "tls"],
  ])("refuses extProc.tls: %s", (tls, said) => {
    const [problem, ...others] = problemsOf(`extProc: { tls: ${tls} }\nroutes: { path: a }`);
    expect(others).toEqual([]);
    expect(problem).toStartWith("policy-engine.yaml:1:");
    expect(problem).toContain(said);
  });

  test("an unknown key is an error with the key that was meant", () => {
    const [problem] = problemsOf("routs: { path: a }\nroutes: { path: a }");
    expect(problem).toContain("policy-engine.yaml:1:1: error:");
    expect(problem).toContain('Did you mean "routes"?');
  });

  test.each([
    "9001",
    "localhost",
    ":9001",
    "a:99999",
    "unix:relative",
    "unix:/",
    "[nonsense]:1",
    "a b:1",
    '""',
  ])("refuses the address %s", (address) => {
    const [problem] = problemsOf(`admin: { address: ${JSON.stringify(address)} }\nroutes: { path: a }`);
    expect(problem).toContain(
      'policy-engine.yaml:1:19: error: "admin.address" must be an address (/admin/address)',
    );
  });

  test.each(["1", "s", "1 s", "-1s", "1d", "1e3s", "9999999999s"])("refuses the duration %s", (text) => {
    const [problem] = problemsOf(`limits: { bodyWait: ${JSON.stringify(text)} }\nroutes: { path: a }`);
    expect(problem).toContain('"limits.bodyWait" must be a duration (/limits/bodyWait)');
  });

  test.each(["10MB", "1.5MiB", "-1", "10 MiB", "99999999999999999999"])("refuses the size %s", (text) => {
    const [problem] = problemsOf(`limits: { bodyBytes: ${JSON.stringify(text)} }\nroutes: { path: a }`);
    expect(problem).toContain('"limits.bodyBytes" must be a size (/limits/bodyBytes)');
  });

  test("names the bounds of a limit", () => {
    const [problem] = problemsOf("limits: { createTimeout: 11m }\nroutes: { path: a }");
    expect(problem).toContain('"limits.createTimeout" must be from 10ms to 10m (/limits/createTimeout)');
  });

  test("refuses two servers on one address", () => {
    const text = (health: string) => `
extProc: { address: "127.0.0.1:9001" }
health: { address: "${health}" }
routes: { path: a }`;
    expect(problemsOf(text("0.0.0.0:9001"))[0]).toContain('"extProc" has this address (/health/address)');
    expect(parseEngineConfig(text("127.0.0.2:9001"), "f").problems).toEqual([]);
  });

  test("refuses what contradicts itself", () => {
    expect(problemsOf("onMissingRouteKey: deny\ndefaultRoute: a\nroutes: { path: a }")[0]).toContain(
      'Cannot use "defaultRoute" beside "onMissingRouteKey"',
    );
    expect(problemsOf("limits: { bodyMemory: 1MiB }\nroutes: { path: a }")[0]).toContain(
      '"limits.bodyMemory" must not be less than "bodyBytes", which is 10MiB',
    );
  });

  test.each(["", "  \n", "# nothing\n", "---\n"])("an empty file is one problem: %j", (text) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("Cannot use an empty configuration file");
  });

  test.each(["[]", "routes", "5", "null", "routes: null", "routes: []", "limits: 5\nroutes: { path: 5 }"])(
    "never throws on a wrong shape: %j",
    (text) => {
      expect(problemsOf(text).length).toBeGreaterThan(0);
    },
  );
});

describe("loadEngineConfig()", () => {
  test("resolves routes.path against the folder of the file", () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "policy-engine.yaml"), "routes: { path: ../routes/all.yaml }");
    const { config } = loadEngineConfig(join(folder, "policy-engine.yaml"));
    expect(config?.routes.path).toBe(join(folder, "../routes/all.yaml"));
  });

  test("a file that cannot be read is one clear problem", () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "folder"));
    writeFileSync(join(folder, "bytes"), new Uint8Array([0xff, 0xfe, 0x00]));
    writeFileSync(join(folder, "huge"), Buffer.alloc(MIB + 1, "#"));
    const expected = {
      missing: "it does not exist",
      folder: "it is not a regular file",
      bytes: "it is not UTF-8",
      huge: "it has 1048577 bytes, at most 1048576 are allowed",
    };
    for (const [name, reason] of Object.entries(expected)) {
      const file = join(folder, name);
      const { config, problems } = loadEngineConfig(file);
      expect(config).toBeUndefined();
      expect(problems.map(formatProblem)).toEqual([
        `${file}:1:1: error: Cannot read configuration file ${JSON.stringify(file)}: ${reason}`,
      ]);
    }
  });

  test("a file that cannot be parsed is told with its place", () => {
    const file = join(temporaryFolder(), "policy-engine.yaml");
    writeFileSync(file, "routes: { path: a\nadmin: [");
    const { config, problems } = loadEngineConfig(file);
    expect(config).toBeUndefined();
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.every((problem) => problem.file === file && problem.line > 0)).toBe(true);
  });
});
