import { expect, test } from "bun:test";
import { join } from "node:path";
import * as sdk from "./index.ts";
import manifest from "./package.json";

const sources = [...new Bun.Glob("**/*.ts").scanSync(import.meta.dir)].filter(
  (name) => !name.endsWith(".test.ts"),
);

test("the SDK has no dependencies", () => {
  const kinds = [
    "dependencies",
    "devDependencies",
    "peerDependencies",
    "optionalDependencies",
    "bundleDependencies",
  ];
  for (const kind of kinds) expect(manifest).not.toHaveProperty(kind);
  expect(sources).toContain("index.ts");
});

test("the SDK imports nothing but itself", async () => {
  const foreign: string[] = [];
  for (const name of sources) {
    const source = await Bun.file(join(import.meta.dir, name)).text();
    // By text, as the transpiler leaves imports of types out. Examples in comments import the package by its name.
    const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, "");
    for (const [, specifier] of code.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      if (!/^\.\/[a-z-]+\.ts$/.test(specifier!)) foreign.push(`${name}: ${specifier}`);
    }
    if (/\b(Bun|process|Buffer|require)\b/.test(code)) foreign.push(`${name}: a global of the runtime`);
  }
  expect(foreign).toEqual([]);
});

test("the SDK exports at run time exactly what its index promises", () => {
  expect(Object.keys(sdk).sort()).toEqual(["SDK_VERSION", "isImmediateResponse", "respond"]);
});

test("the SDK's version is its package's version", () => {
  expect(sdk.SDK_VERSION).toBe(manifest.version);
});
