// What TLS needs, read from files, and read again while the server runs.
import type { EngineLogger } from "../../observability/log.ts";
import { readTlsFiles, type TlsFiles } from "./tls-files.ts";

/** The protocol that is agreed on during the handshake, in the form of the wire: its length, then its name. */
const ALPN_H2 = Buffer.from("\x02h2", "latin1");

/** For one connection. */
export interface ServerTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly ALPNProtocols: Buffer;
}

/** The files cannot be read or used; the message names each. */
export class TlsFilesError extends Error {
  override readonly name = "TlsFilesError";
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

  /** @throws {TlsFilesError} If a file cannot be read or used. */
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

async function readTls(files: TlsFiles): Promise<ServerTls> {
  const { texts, problems } = await readTlsFiles(files);
  if (texts === undefined) {
    const errors = problems.filter(({ code }) => code === undefined);
    throw new TlsFilesError(errors.map(({ message }) => message).join("; "));
  }
  const { cert, key, ca } = texts;
  const common = { cert, key, ALPNProtocols: ALPN_H2 };
  if (ca === undefined) return { ...common, requestCert: false, rejectUnauthorized: false };
  return { ...common, ca, requestCert: true, rejectUnauthorized: true };
}

function isSame(a: ServerTls, b: ServerTls): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && (a.ca === b.ca || (a.ca?.equals(b.ca!) ?? false));
}
