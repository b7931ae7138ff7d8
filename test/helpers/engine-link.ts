import { chmod } from "node:fs/promises";
import { join } from "node:path";
import type { EngineTls } from "../../runtime/cli/tls-socket.ts";
import { makeAuthority, makeCertificate } from "../transport/certificates.ts";
import { freePort } from "./ports.ts";

const LINKS = ["tcp", "unix", "tls", "mutual-tls"] as const;
/** What Envoy reaches the engine over. */
export type Link = (typeof LINKS)[number];

/** Both ends of a link. */
export interface EngineLink {
  /** `extProc` of the engine's configuration. */
  readonly extProc: { readonly address: string; readonly tls?: Readonly<Record<string, string>> };
  /** What Envoy needs, where there is TLS. */
  readonly tls?: EngineTls;
}

/** The link of tests that do not choose one: all of them can be run over each, by $POLICY_ENGINE_TEST_LINK. */
export function defaultLink(): Link {
  const wanted = process.env.POLICY_ENGINE_TEST_LINK ?? "tcp";
  const link = LINKS.find((known) => known === wanted);
  if (link === undefined) {
    throw new Error(`Cannot test over "${wanted}": it is not known, one of ${LINKS.join(", ")} is needed`);
  }
  return link;
}

/** Makes what a link needs in a folder: a socket's place, or certificates of `localhost`. */
export async function makeLink(link: Link, folder: string): Promise<EngineLink> {
  if (link === "unix") return { extProc: { address: `unix:${join(folder, "ext-proc.sock")}` } };
  const address = `127.0.0.1:${await freePort()}`;
  if (link === "tcp") return { extProc: { address } };
  const authority = await makeAuthority(folder, "authority");
  const own = await makeCertificate(folder, "engine", authority);
  await chmod(own.key, 0o600);
  const subject = { kind: "DNS", value: "localhost" } as const;
  const envoy = { authority: authority.cert, subject };
  const engine = { certificate: own.cert, key: own.key };
  if (link === "tls") return { extProc: { address, tls: engine }, tls: envoy };
  const client = await makeCertificate(folder, "envoy", authority);
  return {
    extProc: { address, tls: { ...engine, clientCertificates: authority.cert } },
    tls: { ...envoy, certificate: client.cert, key: client.key },
  };
}
