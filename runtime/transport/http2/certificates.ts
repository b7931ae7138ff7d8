// What TLS needs, read from files, and read again while the server runs.
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { EngineLogger } from "../../observability/log.ts";

/** The files of a server that speaks TLS, in PEM. */
export interface TlsFiles {
  /** The server's certificate, and those between it and a root, in that order. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Certificates that a client's must come from. Default: clients need none. */
  readonly clientCaFile?: string;
}

/** The protocol that is agreed on during the handshake, in the form of the wire: its length, then its name. */
const ALPN_H2 = Buffer.from("\x02h2", "latin1");
const CERTIFICATE = "-----BEGIN CERTIFICATE-----";

/** For one connection. */
export interface ServerTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly ALPNProtocols: Buffer;
}

/** Holds the newest certificates that are good. */
export class Certificates {
  readonly #files: TlsFiles;
  readonly #log: EngineLogger;
  #current: ServerTls;
  /** What was wrong with the files when they were last read, so that it is told once. */
  #problem: string | undefined;
  #reading: Promise<void> | undefined;

  private constructor(files: TlsFiles, log: EngineLogger, first: ServerTls) {
    this.#files = files;
    this.#log = log;
    this.#current = first;
  }

  /** @throws {Error} If a file cannot be read or used; the message names it. */
  static async load(files: TlsFiles, log: EngineLogger): Promise<Certificates> {
    return new Certificates(files, log, await readTls(files));
  }

  /** What new connections use. */
  get current(): ServerTls {
    return this.#current;
  }

  get wantsClientCertificate(): boolean {
    return this.#current.requestCert;
  }

  /** Reads the files again. Never rejects: what is wrong is logged, and the last good certificates stay. */
  refresh(): Promise<void> {
    this.#reading ??= this.#refresh().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #refresh(): Promise<void> {
    try {
      const next = await readTls(this.#files);
      this.#problem = undefined;
      if (isSame(next, this.#current)) return;
      this.#current = next;
      this.#log.info("Certificates are renewed", { ...this.#files });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem === this.#problem) return;
      this.#problem = problem;
      this.#log.error("Cannot renew the certificates: the last good ones stay", { error });
    }
  }
}

async function readTls({ certFile, keyFile, clientCaFile }: TlsFiles): Promise<ServerTls> {
  const [cert, key, ca] = await Promise.all([
    read("certificate", certFile),
    read("key", keyFile),
    clientCaFile === undefined ? undefined : read("client CA", clientCaFile),
  ]);
  check(`certificate "${certFile}" with key "${keyFile}"`, () => createSecureContext({ cert, key }));
  // Without any, the system's roots would count.
  if (ca !== undefined && !ca.includes(CERTIFICATE)) {
    throw new Error(
      `Cannot use the client CA "${clientCaFile}": it holds no certificate, one in PEM is needed`,
    );
  }
  if (ca !== undefined) check(`client CA "${clientCaFile}"`, () => createSecureContext({ ca }));
  const common = { cert, key, ALPNProtocols: ALPN_H2 };
  if (ca === undefined) return { ...common, requestCert: false, rejectUnauthorized: false };
  return { ...common, ca, requestCert: true, rejectUnauthorized: true };
}

async function read(what: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    const { code = "unknown error" } = cause as NodeJS.ErrnoException;
    throw new Error(`Cannot read the ${what} "${file}": ${code}, a file that can be read is needed`, {
      cause,
    });
  }
}

function check(what: string, use: () => unknown): void {
  try {
    use();
  } catch (cause) {
    const { code = "unknown error" } = cause as NodeJS.ErrnoException;
    throw new Error(`Cannot use the ${what}: ${code}, PEM files that belong together are needed`, { cause });
  }
}

function isSame(a: ServerTls, b: ServerTls): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && (a.ca === b.ca || (a.ca?.equals(b.ca!) ?? false));
}
