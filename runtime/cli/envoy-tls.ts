import { X509Certificate } from "node:crypto";
import type { LoadedEngineConfig } from "../config/load-engine-config.ts";
import { readText } from "../config/read-text.ts";
import type { Problem } from "../document/problem.ts";
import { MAX_TLS_FILE_BYTES } from "../transport/http2/tls-files.ts";
import type { EngineTls, SubjectName } from "./tls-socket.ts";

/** Files that Envoy reads, as the command line names them. */
export interface EnvoyTlsFlags {
  readonly tlsCa?: string;
  readonly tlsCertificate?: string;
  readonly tlsKey?: string;
}

/** What Envoy needs to reach an engine with `extProc.tls`; undefined for one without. */
export interface FoundTls {
  readonly tls?: EngineTls;
  /** What is wrong with the engine's certificate. */
  readonly problem?: Problem;
}

const KINDS: Readonly<Record<string, SubjectName["kind"]>> = {
  DNS: "DNS",
  "IP Address": "IP_ADDRESS",
  URI: "URI",
};

/** @throws {RangeError} If what the command line names is not what the configuration asks for. */
export async function findEngineTls(
  { config, document }: LoadedEngineConfig,
  { tlsCa, tlsCertificate, tlsKey }: EnvoyTlsFlags,
): Promise<FoundTls> {
  const tls = config?.extProc.tls;
  if (tls === undefined || document === undefined) {
    if (tlsCa ?? tlsCertificate ?? tlsKey) {
      throw new RangeError('Cannot use TLS to the engine: it has no "extProc.tls", which is needed');
    }
    return {};
  }
  if (tlsCa === undefined) {
    throw new RangeError(
      'Cannot use TLS to the engine: the authority that signed its certificate is not known, "--tls-ca" is needed',
    );
  }
  const isMutual = tls.clientCertificates !== undefined;
  if ((tlsCertificate === undefined) !== (tlsKey === undefined) || (isMutual && tlsKey === undefined)) {
    const why = isMutual ? "the engine asks Envoy for a certificate" : "one is given without the other";
    throw new RangeError(
      `Cannot use TLS to the engine: ${why}, "--tls-certificate" and "--tls-key" are needed`,
    );
  }
  const subject = await subjectOf(tls.certificate);
  if (typeof subject === "string") {
    const message = `Cannot use the certificate ${JSON.stringify(tls.certificate)}: ${subject}`;
    return { problem: document.problem("/extProc/tls/certificate", message) };
  }
  const own = tlsCertificate !== undefined && tlsKey !== undefined;
  return {
    tls: { authority: tlsCa, subject, ...(own && { certificate: tlsCertificate, key: tlsKey }) },
  };
}

/** A name of a certificate by which Envoy can tell the engine from others of the same authority, or why there is none. */
async function subjectOf(path: string): Promise<SubjectName | string> {
  const read = await readText(path, MAX_TLS_FILE_BYTES);
  if ("reason" in read) return read.reason;
  let names: string;
  try {
    names = new X509Certificate(read.text).subjectAltName ?? "";
  } catch {
    return "it holds no certificate, one in PEM is needed";
  }
  const found = names.split(", ").flatMap((name): SubjectName[] => {
    const at = name.indexOf(":");
    const kind = KINDS[name.slice(0, at)];
    const value = name.slice(at + 1);
    // One with a quote in it could be read in two ways.
    return kind === undefined || value === "" || value.includes('"') ? [] : [{ kind, value }];
  });
  const isPlain = ({ kind, value }: SubjectName): boolean => kind === "DNS" && !value.startsWith("*");
  return (
    found.find(isPlain) ??
    found[0] ??
    "it has no name, a subjectAltName with a DNS name, an address or a URI is needed"
  );
}
