import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { validateEnvoyConfig } from "../../test/helpers/envoy.ts";
import { BUILD } from "../../test/static/doc-parts.ts";
import { makeAuthority, makeCertificate } from "../../test/transport/certificates.ts";
import { runCli } from "./cli.ts";

let folder = "";
let ca = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cli-tls-"));
  const authority = await makeAuthority(folder, "authority");
  ca = authority.cert;
  for (const name of ["engine", "envoy"]) {
    const { key } = await makeCertificate(folder, name, authority);
    await chmod(key, 0o600);
  }
  await Bun.write(join(folder, "routes.yaml"), "routes: []\n");
});
afterAll(() => rm(folder, { recursive: true }));

const OWN = "certificate: engine.crt, key: engine.key";
const MUTUAL = `${OWN}, clientCertificates: authority.crt`;

async function run(
  command: string,
  tls: string | undefined,
  flags: readonly string[] = [],
): Promise<{ code: number; out: string; err: string }> {
  const file = join(folder, "policy-engine.yaml");
  const extProc = tls === undefined ? "" : `extProc:\n  tls: { ${tls} }\n`;
  await Bun.write(file, `${extProc}routes: { path: routes.yaml }\n`);
  let [out, err] = ["", ""];
  const io = { out: (text: string) => (out += text), err: (text: string) => (err += text), colours: false };
  const code = await runCli([command, "--config", file, ...flags], { policies: [], build: BUILD, io });
  return { code, out: out.replaceAll(folder, "."), err: err.replaceAll(folder, ".") };
}

describe("validate", () => {
  test("good files are valid", async () => {
    expect(await run("validate", MUTUAL)).toMatchObject({ code: 0, out: "Valid: 0 routes\n" });
  });

  test("each file that cannot be used is an error at the place that names it", async () => {
    const tls = "certificate: authority.crt, key: none.key, clientCertificates: routes.yaml";
    const { code, out } = await run("validate", tls);
    expect(code).toBe(1);
    expect(out.split("\n")).toEqual([
      './policy-engine.yaml:2:43: error: Cannot read the key "./none.key": ENOENT, a file that can be read is needed (/extProc/tls/key)',
      './policy-engine.yaml:2:73: error: Cannot use the client certificates "./routes.yaml": it holds no certificate, one in PEM is needed (/extProc/tls/clientCertificates)',
      "Not valid: 2 errors",
      "",
    ]);
  });

  test("a key that everyone can read is a warning", async () => {
    await chmod(join(folder, "engine.key"), 0o644);
    try {
      const { code, out } = await run("validate", OWN);
      expect(code).toBe(0);
      expect(out).toContain(
        './policy-engine.yaml:2:40: warning: Every user of this machine can read the key "./engine.key" (/extProc/tls/key) [tls-key-readable]\n  hint: ',
      );
      expect((await run("validate", OWN, ["--strict"])).code).toBe(1);
    } finally {
      await chmod(join(folder, "engine.key"), 0o600);
    }
  });
});

describe("serve", () => {
  test("does not start with files that cannot be used, and says where they are named: exit code 3", async () => {
    const { code, err } = await run("serve", "certificate: engine.crt, key: envoy.key");
    expect(code).toBe(3);
    expect(err).toContain("./policy-engine.yaml:2:40: error: Cannot use the key");
    expect(err).toContain("it does not belong to the certificate");
  });
});

describe("envoy-config", () => {
  const all = () => [
    ...["--tls-ca", ca, "--tls-certificate", join(folder, "envoy.crt")],
    ...["--tls-key", join(folder, "envoy.key")],
  ];
  const socketOf = (text: string) => parse(text).static_resources.clusters[0].transport_socket;

  test("is accepted by Envoy, with TLS and with mutual TLS", async () => {
    for (const [tls, flags] of [
      [OWN, ["--tls-ca", ca]],
      [MUTUAL, all()],
    ] as const) {
      const { code, out } = await run("envoy-config", tls, flags);
      expect(code).toBe(0);
      expect(await validateEnvoyConfig(out.replaceAll("./", `${folder}/`))).toMatchObject({ valid: true });
    }
  });

  test("has the authority, the name of the engine, Envoy's own certificate, and h2", async () => {
    expect(socketOf((await run("envoy-config", MUTUAL, all())).out).typed_config).toMatchObject({
      sni: "localhost",
      common_tls_context: {
        alpn_protocols: ["h2"],
        tls_certificates: [
          { certificate_chain: { filename: "./envoy.crt" }, private_key: { filename: "./envoy.key" } },
        ],
        validation_context: {
          trusted_ca: { filename: "./authority.crt" },
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "localhost" } }],
        },
      },
    });
    const alone = socketOf((await run("envoy-config", OWN, ["--tls-ca", ca])).out);
    expect(alone.typed_config.common_tls_context.tls_certificates).toBeUndefined();
    expect(socketOf((await run("envoy-config", undefined)).out)).toBeUndefined();
  });

  test.each<[string, string, string | undefined]>([
    ["IP:10.0.0.1,URI:spiffe://a/b", "IP_ADDRESS 10.0.0.1", undefined],
    ["URI:spiffe://a/b", "URI spiffe://a/b", undefined],
    ["DNS:*.engine.example", "DNS *.engine.example", undefined],
    ["IP:10.0.0.1,DNS:*.engine.example,DNS:engine.example", "DNS engine.example", "engine.example"],
  ])("an engine named %s is known by %s", async (names, known, sni) => {
    const files = ["-keyout", join(folder, "named.key"), "-out", join(folder, "named.crt")];
    const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=named"];
    const child = Bun.spawn(["openssl", ...request, "-addext", `subjectAltName=${names}`, ...files], {
      stderr: "ignore",
    });
    expect(await child.exited).toBe(0);
    const { out } = await run("envoy-config", "certificate: named.crt, key: named.key", ["--tls-ca", ca]);
    const { typed_config } = socketOf(out);
    const [{ san_type, matcher }] =
      typed_config.common_tls_context.validation_context.match_typed_subject_alt_names;
    expect([`${san_type} ${matcher.exact}`, typed_config.sni]).toEqual([known, sni]);
    expect(await validateEnvoyConfig(out.replaceAll("./", `${folder}/`))).toMatchObject({ valid: true });
  });

  test("a name that holds what looks like another is passed over", async () => {
    const settings = [
      "[req]",
      "distinguished_name = dn",
      "x509_extensions = v3",
      "prompt = no",
      "[dn]",
      "CN = a",
    ];
    const names = [
      "[v3]",
      "subjectAltName = @all",
      "[all]",
      'URI.1 = "http://a/, DNS:evil"',
      "IP.1 = 10.0.0.1",
    ];
    await Bun.write(join(folder, "odd.cnf"), [...settings, ...names, ""].join("\n"));
    const files = ["-config", "odd.cnf", "-keyout", "odd.key", "-out", "odd.crt"];
    const child = Bun.spawn(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files], {
      cwd: folder,
      stderr: "ignore",
    });
    expect(await child.exited).toBe(0);
    const { out } = await run("envoy-config", "certificate: odd.crt, key: odd.key", ["--tls-ca", ca]);
    const { validation_context } = socketOf(out).typed_config.common_tls_context;
    expect(validation_context.match_typed_subject_alt_names).toEqual([
      { san_type: "IP_ADDRESS", matcher: { exact: "10.0.0.1" } },
    ]);
  });

  test.each<[string, string | undefined, readonly string[], string]>([
    ["no authority", OWN, [], '"--tls-ca" is needed'],
    ["no certificate of Envoy's", MUTUAL, ["--tls-ca", "ca"], "the engine asks Envoy for a certificate"],
    ["half of one", OWN, ["--tls-ca", "ca", "--tls-key", "k"], "one is given without the other"],
    ["an engine without TLS", undefined, ["--tls-ca", "ca"], 'it has no "extProc.tls", which is needed'],
  ])("%s: exit code 2", async (_, tls, flags, said) => {
    const { code, out, err } = await run("envoy-config", tls, flags);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toStartWith("error: Cannot use TLS to the engine: ");
    expect(err).toContain(said);
  });

  test.each([
    ["none.crt", "it does not exist"],
    ["routes.yaml", "it holds no certificate, one in PEM is needed"],
    ["authority.crt", "it has no name"],
  ])("the engine's certificate %s: exit code 1", async (name, said) => {
    const tls = `certificate: ${name}, key: engine.key`;
    const { code, out, err } = await run("envoy-config", tls, ["--tls-ca", ca]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(
      `./policy-engine.yaml:2:23: error: Cannot use the certificate "./${name}": ${said}`,
    );
  });
});
