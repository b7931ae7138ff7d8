import { expect, test } from "bun:test";
import { join, resolve } from "node:path";

const FOLDER = resolve(import.meta.dir, "../../examples/policies/jwt-validation");

/** What is the same in both: a fault that is mended in one must not stay in the other. */
const SHARED = [
  "claims.ts",
  "duration.ts",
  "fetch-key-set.ts",
  "jwks-poller.ts",
  "key-set.ts",
  "key-source.ts",
  "open-issuers.ts",
  "problems-of.ts",
  "shared-poller.ts",
  "token-cache.ts",
  "token-verifier.ts",
];

test.each(SHARED)("both versions of jwt-validation have the same %s", async (name) => {
  const [v1, v2] = await Promise.all(
    ["v1.0.0", "v2.0.0"].map((version) => Bun.file(join(FOLDER, version, name)).text()),
  );
  expect(v2).toBe(v1!);
});
