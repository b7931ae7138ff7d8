/** Builds the servers that the engine is measured against. One whose toolchain is missing is left out by name. */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "../..");
export const CACHE = join(PROJECT, ".cache/bench");
const PEERS = join(PROJECT, "bench/peers");

export type PeerName = "grpc-go" | "tonic" | "grpc-js" | "ceiling";

/** A server to run, or why there is none. */
export type Peer = { readonly executable: string; readonly version: string } | { readonly leftOut: string };

interface Recipe {
  /** What has to be on PATH; undefined: what this project has installed. */
  readonly tool: string | undefined;
  readonly hint: string;
  readonly folder: string;
  command(target: string): string[];
  /** The executable, below the target folder. */
  readonly result: string;
  /** How to ask for what the report names. */
  version(): Promise<string>;
}

const RECIPES: Readonly<Record<PeerName, Recipe>> = {
  "grpc-go": {
    tool: "go",
    hint: "Go 1.26 or later",
    folder: "grpc-go",
    command: (target) => ["go", "build", "-mod=readonly", "-trimpath", "-o", join(target, "server"), "."],
    result: "server",
    async version() {
      const module = /google\.golang\.org\/grpc (v\S+)/.exec(await textOf("grpc-go/go.mod"))?.[1];
      const go = /go(\d\S*)/.exec(await output(["go", "version"]))?.[1];
      return `grpc-go ${module}, Go ${go}`;
    },
  },
  tonic: {
    tool: "cargo",
    hint: "Rust 1.88 or later with cargo",
    folder: "tonic",
    command: (target) => ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", target],
    result: "release/bench-tonic",
    async version() {
      const crate = /name = "tonic"\nversion = "(.*)"/.exec(await textOf("tonic/Cargo.lock"))?.[1];
      const rust = /\d+\.\d+\.\d+/.exec(await output(["rustc", "--version"]))?.[0];
      return `tonic ${crate}, Rust ${rust}`;
    },
  },
  "grpc-js": compiled("grpc-js", async () => {
    const { version } = await Bun.file(join(PROJECT, "node_modules/@grpc/grpc-js/package.json")).json();
    return `grpc-js ${version}, Bun ${Bun.version}`;
  }),
  ceiling: compiled("ceiling", () => Promise.resolve(`Bun ${Bun.version}`)),
};

/** As the builder compiles the engine. */
function compiled(folder: string, version: () => Promise<string>): Recipe {
  return {
    tool: undefined,
    hint: "",
    folder,
    command: (target) => [
      ...[process.execPath, "build", "--compile", "--minify", "--bytecode", "--format=esm"],
      ...["./main.ts", "--outfile", join(target, "server")],
    ],
    result: "server",
    version,
  };
}

interface BuildOptions {
  /** Whether one that was never built is built, where that takes a toolchain. Default: true. */
  readonly fresh?: boolean;
}

/**
 * Builds one; what was built before is used again where nothing changed.
 * @throws {Error} If it cannot be built though its toolchain is there.
 */
export async function buildPeer(name: PeerName, { fresh = true }: BuildOptions = {}): Promise<Peer> {
  const { tool, hint, folder, command, result, version } = RECIPES[name];
  const target = join(CACHE, folder);
  const executable = join(target, result);
  if (!fresh && tool !== undefined && !(await Bun.file(executable).exists())) {
    return { leftOut: "it is not built yet, and building takes minutes: make bench does" };
  }
  if (tool !== undefined && Bun.which(tool, { PATH: process.env.PATH ?? "" }) === null) {
    return { leftOut: `${tool} is not on PATH, ${hint} is needed to build it` };
  }
  await mkdir(target, { recursive: true });
  const child = Bun.spawn(command(target), {
    cwd: join(PEERS, folder),
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const complaint = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`Cannot build peer "${name}":\n${complaint.trim()}`);
  return { executable, version: await version() };
}

function textOf(path: string): Promise<string> {
  return Bun.file(join(PEERS, path)).text();
}

async function output(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  return (await child.stdout.text()).trim();
}
