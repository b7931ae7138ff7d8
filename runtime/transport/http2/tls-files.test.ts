import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeAuthority, makeCertificate } from "../../../test/transport/certificates.ts";
import { readTlsFiles, type TlsFiles } from "./tls-files.ts";

let folder = "";
let good: TlsFiles;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tls-files-"));
  const authority = await makeAuthority(folder, "authority");
  const { cert, key } = await makeCertificate(folder, "server", authority);
  await chmod(key, 0o600);
  good = { certificate: cert, key, clientCertificates: authority.cert };
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

async function openssl(...args: string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...args], { cwd: folder, stderr: "pipe" });
  const said = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(said);
}

describe("readTlsFiles()", () => {
  test("gives the texts of good files, with a chain and with text between", async () => {
    const texts = await Promise.all(
      [good.certificate, good.clientCertificates!].map((path) => Bun.file(path).text()),
    );
    const certificate = await file("chain.crt", `server\n${texts.join("authority\n")}`);
    const { texts: read, problems } = await readTlsFiles({ ...good, certificate });
    expect(problems).toEqual([]);
    expect(read?.cert.toString()).toContain("authority\n");
    expect(read?.ca?.toString()).toBe(texts[1]!);
    const { certificate: cert, key } = good;
    expect((await readTlsFiles({ certificate: cert, key })).texts?.ca).toBeUndefined();
  });

  test("takes a file of a mebibyte", async () => {
    const text = await Bun.file(good.certificate).text();
    const certificate = await file("long.crt", text.padEnd(1_048_576, "\n"));
    expect((await readTlsFiles({ ...good, certificate })).problems).toEqual([]);
  });

  test("says all that is wrong at once", async () => {
    const empty = await file("empty.crt", "");
    const { texts, problems } = await readTlsFiles({
      certificate: empty,
      key: empty,
      clientCertificates: "/nowhere",
    });
    expect(texts).toBeUndefined();
    expect(problems.map(({ file: where, message }) => [where, message]).sort()).toEqual([
      ["certificate", `Cannot use the certificate "${empty}": it holds no certificate, one in PEM is needed`],
      [
        "clientCertificates",
        'Cannot read the client certificates "/nowhere": ENOENT, a file that can be read is needed',
      ],
      [
        "key",
        `Cannot use the key "${empty}": it holds no private key, one in PEM without a passphrase is needed`,
      ],
    ]);
  });

  const BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  test.each<[string, () => Promise<Partial<TlsFiles>>, string]>([
    [
      "a damaged certificate",
      async () => ({ certificate: await file("a.crt", BROKEN) }),
      "a certificate in it is damaged",
    ],
    [
      "a damaged one behind a good one",
      async () => ({
        clientCertificates: await file("b.crt", `${await Bun.file(good.certificate).text()}${BROKEN}`),
      }),
      "a certificate in it is damaged",
    ],
    ["a folder", async () => ({ key: folder }), "it is not a regular file"],
    [
      "a pipe that nobody writes to",
      async () => {
        await Bun.spawn(["mkfifo", join(folder, "pipe")]).exited;
        return { key: join(folder, "pipe") };
      },
      "it is not a regular file",
    ],
    ["a device", async () => ({ certificate: "/dev/zero" }), "it is not a regular file"],
    [
      "a large file",
      async () => {
        const clientCertificates = await file("large.crt", "");
        await truncate(clientCertificates, 1_048_577);
        return { clientCertificates };
      },
      "it has 1048577 bytes, at most 1048576 are allowed",
    ],
    [
      "the key of another",
      async () => ({ key: (await makeAuthority(folder, "other")).key }),
      "it does not belong to the certificate",
    ],
    [
      "a key with a passphrase",
      async () => {
        await openssl("pkcs8", "-topk8", "-in", good.key, "-out", "locked.key", "-passout", "pass:x");
        return { key: join(folder, "locked.key") };
      },
      "it has a passphrase, one in PEM without a passphrase is needed",
    ],
    [
      "a curve that TLS has no use for",
      async () => {
        const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"];
        const out = ["-keyout", "curve.key", "-out", "curve.crt"];
        await openssl("req", "-x509", ...curve, "-nodes", "-subj", "/CN=curve", ...out);
        return { certificate: join(folder, "curve.crt"), key: join(folder, "curve.key") };
      },
      "UNSUPPORTED_ALGORITHM, one that TLS takes is needed",
    ],
  ])("refuses %s", async (_, change, said) => {
    const { texts, problems } = await readTlsFiles({ ...good, ...(await change()) });
    expect(texts).toBeUndefined();
    expect(problems.map(({ message }) => message)).toEqual([expect.stringContaining(said)]);
  });

  test("warns of a key that everyone can read, and of a certificate that is over", async () => {
    const key = join(folder, "old.key");
    const request = ["-subj", "/CN=old", "-keyout", key, "-out", "old.csr"];
    await openssl("req", "-newkey", "rsa:2048", "-nodes", ...request);
    await openssl("x509", "-req", "-in", "old.csr", "-signkey", key, "-days", "0", "-out", "old.crt");
    for (const [mode, codes] of [
      [0o644, ["tls-key-readable", "tls-certificate-expired"]],
      [0o640, ["tls-certificate-expired"]],
    ] as const) {
      await chmod(key, mode);
      const { texts, problems } = await readTlsFiles({ certificate: join(folder, "old.crt"), key });
      expect(texts).toBeDefined();
      expect(problems.map(({ code }) => code)).toEqual([...codes]);
    }
  });

  test("never shows a key", async () => {
    const text = `-----BEGIN PRIVATE KEY-----\nsecret-material\n-----END PRIVATE KEY-----\n`;
    const { problems } = await readTlsFiles({ ...good, key: await file("c.key", text) });
    expect(problems).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain("secret-material");
  });
});
