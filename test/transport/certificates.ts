// Certificates for tests, made by openssl: an authority, and what it signed.
import { join } from "node:path";

const DAYS = "2";

/** Makes an authority; gives the files of its certificate and key. */
export async function makeAuthority(folder: string, name: string): Promise<{ cert: string; key: string }> {
  const files = filesOf(folder, name);
  await openssl([
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS],
    ...["-subj", `/CN=${name}`, "-addext", "basicConstraints=critical,CA:TRUE"],
    ...["-keyout", files.key, "-out", files.cert],
  ]);
  return files;
}

/** Makes a certificate that an authority signs, for `localhost` and as a client. */
export async function makeCertificate(
  folder: string,
  name: string,
  authority: { cert: string; key: string },
): Promise<{ cert: string; key: string }> {
  const files = filesOf(folder, name);
  await openssl([
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS],
    ...["-CA", authority.cert, "-CAkey", authority.key, "-subj", `/CN=${name}`],
    ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"],
    ...["-keyout", files.key, "-out", files.cert],
  ]);
  return files;
}

function filesOf(folder: string, name: string): { cert: string; key: string } {
  return { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}

async function openssl(args: readonly string[]): Promise<void> {
  if (Bun.which("openssl") === null) {
    throw new Error('Cannot make certificates: "openssl" is not on PATH, version 3 or later is needed');
  }
  const child = Bun.spawn(["openssl", ...args], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const complaint = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`Cannot make certificates: openssl failed\n${complaint}`);
}
