// The files that TLS needs, read and checked: for the server, and for whoever checks a configuration.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";

/** The files of a server that speaks TLS, in PEM. */
export interface TlsFiles {
  /** The server's certificate, and those between it and a root, in that order. */
  readonly certificate: string;
  /** Its private key, without a passphrase. */
  readonly key: string;
  /** Certificates that a client's must come from. Default: clients need none. */
  readonly clientCertificates?: string | undefined;
}

/** What is wrong with one of the files; with a code it is a warning. */
export interface TlsProblem {
  readonly file: keyof TlsFiles;
  readonly message: string;
  readonly hint?: string;
  readonly code?: "tls-key-readable" | "tls-certificate-expired";
}

/** What the files hold. */
export interface TlsTexts {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}

export interface TlsReading {
  /** Undefined where there is a problem that is no warning. */
  readonly texts: TlsTexts | undefined;
  readonly problems: readonly TlsProblem[];
}

/** A bundle of every public authority there is has a quarter of this. */
export const MAX_TLS_FILE_BYTES = 1_048_576;
const ANYONE_READS = 0o004;
const NAMES = { certificate: "certificate", key: "key", clientCertificates: "client certificates" } as const;

/** Reads and checks the files. Never rejects; all that is wrong is said at once. */
export async function readTlsFiles(files: TlsFiles): Promise<TlsReading> {
  const check = new TlsCheck(files);
  const [cert, key, ca] = await Promise.all([
    check.read("certificate"),
    check.read("key"),
    files.clientCertificates === undefined ? undefined : check.read("clientCertificates"),
  ]);
  const [own] = cert === undefined ? [] : check.certificates("certificate", cert);
  const secret = key === undefined ? undefined : check.privateKey(key);
  if (ca !== undefined) check.certificates("clientCertificates", ca);
  if (own !== undefined) check.pair(own, secret);
  const { problems } = check;
  if (cert === undefined || key === undefined || check.failed) return { texts: undefined, problems };
  check.tls({ cert, key, ...(ca && { ca }) });
  return { texts: check.failed ? undefined : { cert, key, ca }, problems };
}

class TlsCheck {
  readonly problems: TlsProblem[] = [];
  readonly #files: TlsFiles;

  constructor(files: TlsFiles) {
    this.#files = files;
  }

  get failed(): boolean {
    return this.problems.some(({ code }) => code === undefined);
  }

  async read(file: keyof TlsFiles): Promise<Buffer | undefined> {
    try {
      // Never waits for a pipe or a device.
      await using handle = await open(this.#files[file]!, constants.O_RDONLY | constants.O_NONBLOCK);
      const facts = await handle.stat();
      if (!facts.isFile()) return this.#fail("read", file, "it is not a regular file");
      if (facts.size > MAX_TLS_FILE_BYTES) {
        const reason = `it has ${facts.size} bytes, at most ${MAX_TLS_FILE_BYTES} are allowed`;
        return this.#fail("read", file, reason);
      }
      if (file === "key" && (facts.mode & ANYONE_READS) !== 0) this.#warnOfReaders();
      return await handle.readFile();
    } catch (error) {
      const { code = "unknown error" } = error as NodeJS.ErrnoException;
      return this.#fail("read", file, `${code}, a file that can be read is needed`);
    }
  }

  /** The certificates of a file, at least one if nothing is wrong. */
  certificates(file: "certificate" | "clientCertificates", pem: Buffer): X509Certificate[] {
    const blocks = pem.toString("latin1").match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
    if (blocks === null) {
      this.#fail("use", file, "it holds no certificate, one in PEM is needed");
      return [];
    }
    try {
      return blocks.map((block) => new X509Certificate(block));
    } catch {
      this.#fail("use", file, "a certificate in it is damaged, one in PEM is needed");
      return [];
    }
  }

  privateKey(pem: Buffer): KeyObject | undefined {
    try {
      return createPrivateKey(pem);
    } catch {
      const locked = pem.includes("ENCRYPTED");
      return this.#fail(
        "use",
        "key",
        `${locked ? "it has a passphrase" : "it holds no private key"}, \
one in PEM without a passphrase is needed`,
      );
    }
  }

  /** Whether certificate and key belong together, now. */
  pair(certificate: X509Certificate, key: KeyObject | undefined): void {
    if (key !== undefined && !certificate.checkPrivateKey(key)) {
      const name = JSON.stringify(this.#files.certificate);
      this.#fail("use", "key", `it does not belong to the certificate ${name}, the one that does is needed`);
    }
    if (Date.parse(certificate.validTo) > Date.now()) return;
    this.problems.push({
      file: "certificate",
      code: "tls-certificate-expired",
      message: `The certificate ${JSON.stringify(this.#files.certificate)} is valid until ${certificate.validTo} only`,
      hint: "Renew it: Envoy refuses one that has expired",
    });
  }

  /** What is well written may still be too weak for TLS. */
  tls(texts: SecureContextOptions): void {
    try {
      createSecureContext(texts);
    } catch (error) {
      const { code = "unknown error" } = error as NodeJS.ErrnoException;
      this.#fail("use", "certificate", `${code}, one that TLS takes is needed`);
    }
  }

  #warnOfReaders(): void {
    this.problems.push({
      file: "key",
      code: "tls-key-readable",
      message: `Every user of this machine can read the key ${JSON.stringify(this.#files.key)}`,
      hint: "Give it mode 0600, or 0640 and a group of its own",
    });
  }

  #fail(action: "read" | "use", file: keyof TlsFiles, reason: string): undefined {
    const message = `Cannot ${action} the ${NAMES[file]} ${JSON.stringify(this.#files[file])}: ${reason}`;
    this.problems.push({ file, message });
  }
}
