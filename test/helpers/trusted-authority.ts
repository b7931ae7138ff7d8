import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_AUTHORITY } from "./test-tls.ts";

/** What makes a program trust the certificate of `TEST_TLS`. */
export interface TrustedAuthority {
  /** Environment variables to start it with. */
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

export async function trustedAuthority(): Promise<TrustedAuthority> {
  const folder = await mkdtemp(join(tmpdir(), "policy-engine-ca-"));
  const file = join(folder, "ca.pem");
  await Bun.write(file, TEST_AUTHORITY);
  return {
    env: { NODE_EXTRA_CA_CERTS: file },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
