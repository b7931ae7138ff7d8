import { expect, test } from "bun:test";
import { join, resolve } from "node:path";

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly optionalDependencies?: Record<string, string> }>>;
}

/**
 * npm leaves out of a lock file what the registry it was made with does not have, such as binaries for other
 * systems, and then refuses that lock file at `npm ci`.
 */
test("the lock file has an entry for every optional package, also those of other systems", async () => {
  const file = join(resolve(import.meta.dir, "../.."), "package-lock.json");
  const { packages } = (await Bun.file(file).json()) as LockFile;
  const missing = Object.values(packages)
    .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
    .filter((name) => packages[`node_modules/${name}`] === undefined);
  expect(missing).toEqual([]);
});
