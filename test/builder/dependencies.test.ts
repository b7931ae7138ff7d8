// Dependencies of policies, from a registry of the test's own: locked, checked, and without running their scripts.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  existsSync,
  manifestOf,
  plainPolicy,
  removeFolders,
  temporaryFolder,
  writeFiles,
} from "./folders.ts";

setDefaultTimeout(180_000);

const LAUNCHER = join(import.meta.dir, "../../builder/bin/policy-builder.mjs");
const POLICY = `import type { PolicyFactory } from "@policy-engine/sdk";
import { greet } from "greeter";

export const getPolicy: PolicyFactory = () => ({ onRequest: () => ({ setHeaders: { "x-hello": greet("you") } }) });
`;
const DEPENDENCIES = { name: "gate", version: "1.0.0", dependencies: { greeter: "1.0.0" } };

let server: ReturnType<typeof Bun.serve>;
let tarball: Uint8Array<ArrayBuffer>;
let integrity: string;
let env: Record<string, string | undefined>;
let ran: string;

beforeAll(() => {
  const dir = temporaryFolder();
  ran = join(dir, "a-script-ran");
  writeFiles(dir, {
    "package/package.json": JSON.stringify({
      name: "greeter",
      version: "1.0.0",
      type: "module",
      exports: { types: "./index.d.ts", default: "./index.js" },
      scripts: { preinstall: `touch ${ran}`, postinstall: `touch ${ran}` },
    }),
    "package/index.js": "export const greet = (name) => 'hello-'.concat(name, '-from-a-dependency');\n",
    "package/index.d.ts": "export declare function greet(name: string): string;\n",
  });
  Bun.spawnSync(["tar", "czf", "greeter.tgz", "package"], { cwd: dir });
  tarball = new Uint8Array(readFileSync(join(dir, "greeter.tgz")));
  integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname, origin } = new URL(request.url);
      if (pathname.endsWith(".tgz")) return new Response(tarball);
      if (pathname !== "/greeter") return new Response("no such package", { status: 404 });
      const dist = { tarball: `${origin}/greeter/-/greeter-1.0.0.tgz`, integrity };
      const version = { name: "greeter", version: "1.0.0", dist, hasInstallScript: true };
      return Response.json({
        name: "greeter",
        "dist-tags": { latest: "1.0.0" },
        versions: { "1.0.0": version },
      });
    },
  });
  const registry = server.url.href;
  env = {
    ...process.env,
    BUN_CONFIG_REGISTRY: registry,
    npm_config_registry: registry,
  };
});

afterAll(async () => {
  await server.stop(true);
  removeFolders();
});

async function build(
  files: Readonly<Record<string, string>>,
): Promise<{ code: number; err: string; cwd: string }> {
  const cwd = temporaryFolder();
  writeFiles(cwd, {
    "manifest.yaml": manifestOf({ gate: "gate" }),
    ...plainPolicy("gate", "gate"),
    ...files,
  });
  const args = ["build", "--manifest", "manifest.yaml", "--output", "out"];
  // What is in Bun's cache is not checked again: each build gets one of its own.
  const child = Bun.spawn(["node", LAUNCHER, ...args], {
    cwd,
    env: withCache(),
    stdout: "ignore",
    stderr: "pipe",
  });
  const err = await child.stderr.text();
  return { code: await child.exited, err, cwd };
}

function withCache(): Record<string, string | undefined> {
  return { ...env, BUN_INSTALL_CACHE_DIR: temporaryFolder() };
}

function npmLock(lockedIntegrity = integrity): string {
  const greeter = {
    version: "1.0.0",
    resolved: `${server.url.href}greeter/-/greeter-1.0.0.tgz`,
    integrity: lockedIntegrity,
  };
  const packages = { "": DEPENDENCIES, "node_modules/greeter": greeter };
  return JSON.stringify({ name: "gate", version: "1.0.0", lockfileVersion: 3, requires: true, packages });
}

async function bunLock(): Promise<string> {
  const dir = temporaryFolder();
  writeFiles(dir, { "package.json": JSON.stringify(DEPENDENCIES) });
  const command = [process.execPath, "install", "--lockfile-only", "--ignore-scripts"];
  const child = Bun.spawn(command, { cwd: dir, env: withCache(), stdout: "ignore", stderr: "pipe" });
  const err = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(err);
  return readFileSync(join(dir, "bun.lock"), "utf8");
}

test.each(["package-lock.json", "bun.lock"])(
  "locked dependencies are compiled in, scripts do not run: %s",
  async (lock) => {
    const { code, err, cwd } = await build({
      "gate/policy.ts": POLICY,
      "gate/package.json": JSON.stringify({
        ...DEPENDENCIES,
        scripts: { postinstall: `touch ${ran}`, prepare: `touch ${ran}` },
      }),
      [`gate/${lock}`]: lock === "bun.lock" ? await bunLock() : npmLock(),
    });

    expect([code, err]).toEqual([0, ""]);
    expect(readFileSync(join(cwd, "out/policy-engine")).includes("-from-a-dependency")).toBe(true);
    expect(existsSync(ran)).toBe(false);
    expect(existsSync(join(cwd, "gate/node_modules"))).toBe(false);
  },
);

test("a package that is not the locked one is refused", async () => {
  const { code, err } = await build({
    "gate/policy.ts": POLICY,
    "gate/package.json": JSON.stringify({ ...DEPENDENCIES, dependencies: { greeter: "1.0.0" } }),
    "gate/package-lock.json": npmLock(`sha512-${Buffer.alloc(64, 7).toString("base64")}`),
  });

  expect(code).toBe(11);
  expect(err).toContain("gate/package.json:1:1: error: Cannot install the dependencies: ");
});

test("a dependency that the lock file does not know is refused", async () => {
  const { code, err } = await build({
    "gate/policy.ts": POLICY,
    "gate/package.json": JSON.stringify({
      ...DEPENDENCIES,
      dependencies: { greeter: "1.0.0", other: "1.0.0" },
    }),
    "gate/package-lock.json": npmLock(),
  });

  expect(code).toBe(11);
  expect(err).toContain("Cannot install the dependencies: ");
});
