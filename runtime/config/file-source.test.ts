import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  createSource,
  createStore,
  PolicyLab,
  routesText,
  type StoreKit,
  tagsOf,
  temporaryFolder,
  writeRoutes,
} from "./config-fixtures.ts";
import { ConfigurationError } from "./configuration-error.ts";
import type { FileSource } from "./file-source.ts";

interface Opened {
  readonly kit: StoreKit;
  readonly folder: string;
  readonly path: string;
  readonly source: FileSource;
}

async function open(limits?: Readonly<Record<string, unknown>>): Promise<Opened> {
  const folder = temporaryFolder();
  const kit = createStore(await PolicyLab.open(), limits);
  const path = join(folder, "routes.yaml");
  return { kit, folder, path, source: createSource(kit, { path }) };
}

/** A source that serves route `a` with these tags. */
async function serving(tags: readonly string[] = ["1"]): Promise<Opened> {
  const opened = await open();
  writeRoutes(opened.path, { a: tags });
  await opened.source.start();
  return opened;
}

/** Looks at the files so often, and tells how each look ended. */
async function looks(source: FileSource, times: number): Promise<(string | undefined)[]> {
  const results: (string | undefined)[] = [];
  for (let look = 0; look < times; look++) results.push((await source.poll())?.result);
  return results;
}

async function startError({ source }: Opened): Promise<string> {
  const error = await source.start().then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(ConfigurationError);
  return (error as Error).message;
}

describe("FileSource: start", () => {
  test("FR-010: serves what a file says", async () => {
    const { kit } = await serving();
    expect(tagsOf(kit, "a")).toEqual(["1"]);
  });

  test("a file that is missing, empty or unparsable refuses the start with every problem", async () => {
    const missing = await open();
    expect(await startError(missing)).toBe(
      `${missing.path}:1:1: error: Cannot read routes from ${JSON.stringify(missing.path)}: it does not exist`,
    );
    const empty = await open();
    writeFileSync(empty.path, "# later\n");
    expect(await startError(empty)).toContain('it is empty, a list "routes" is needed');
    const broken = await open();
    writeFileSync(broken.path, "routes: [\n");
    expect(await startError(broken)).toContain(`${broken.path}:2:1: error: Cannot read this as YAML`);
    const bytes = await open();
    writeFileSync(bytes.path, new Uint8Array([0xc3, 0x28]));
    expect(await startError(bytes)).toContain("it is not UTF-8");
    const large = await open({ routeFileBytes: "1KiB" });
    writeFileSync(large.path, "#".repeat(1025));
    expect(await startError(large)).toContain("it has 1025 bytes, at most 1024 are allowed");
  });

  test("errors in single routes do not refuse it", async () => {
    const { kit, path, source } = await open();
    writeFileSync(path, "routes: [{ route: a, policies: [{ name: nothing, version: v1 }] }]");
    expect((await source.start()).result).toBe("partial");
    expect(kit.store.current?.lookup("a")).toEqual({ kind: "unavailable" });
  });

  test("a file that is no regular file is never waited for", async () => {
    const { path, source, ...rest } = await open();
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    expect(await startError({ path, source, ...rest })).toContain("it is not a regular file");
  });
});

describe("FileSource: changes of a file", () => {
  test("US1.3: a change is read when two looks agree on it", async () => {
    const { kit, path, source } = await serving();
    writeRoutes(path, { a: ["2"] });
    expect(await looks(source, 3)).toEqual([undefined, "applied", undefined]);
    expect(tagsOf(kit, "a")).toEqual(["2"]);
  });

  test("a file that is still being written is not read", async () => {
    const { kit, path, source } = await serving();
    const text = routesText({ a: ["2"], b: ["2"] });
    for (let end = 0; end < text.length; end += 10) {
      writeFileSync(path, text.slice(0, end));
      expect(await looks(source, 1)).toEqual([undefined]);
    }
    writeFileSync(path, text);
    expect(await looks(source, 3)).toEqual([undefined, "applied", undefined]);
    expect(kit.store.status().snapshot).toBe(2);
  });

  test("a file that stays half-written removes nothing, and is applied when it is whole", async () => {
    const { kit, path, source } = await serving();
    const text = routesText({ a: ["2"] });
    writeFileSync(path, text.slice(0, text.length - 30));
    expect(await looks(source, 4)).toEqual([undefined, "rejected", undefined, undefined]);
    expect(tagsOf(kit, "a")).toEqual(["1"]);
    writeFileSync(path, text);
    expect(await looks(source, 2)).toEqual([undefined, "applied"]);
  });

  test("three looks must agree before routes are removed", async () => {
    const { kit, path, source } = await serving();
    writeRoutes(path, { b: ["1"] });
    expect(await looks(source, 4)).toEqual([undefined, undefined, "applied", undefined]);
    expect(kit.store.current?.lookup("a")).toBeUndefined();
  });

  test("truncate, then write: the moment in between changes nothing", async () => {
    const { kit, path, source } = await serving();
    truncateSync(path);
    expect(await looks(source, 1)).toEqual([undefined]);
    writeRoutes(path, { a: ["2"] });
    expect(await looks(source, 2)).toEqual([undefined, "applied"]);
    truncateSync(path);
    expect(await looks(source, 4)).toEqual([undefined, "rejected", undefined, undefined]);
    expect(tagsOf(kit, "a")).toEqual(["2"]);
    expect(kit.store.status().problems[0]?.message).toContain("it is empty");
  });

  test("a file that vanishes, by itself or with its folder, changes nothing", async () => {
    const { kit, path, folder, source } = await serving();
    unlinkSync(path);
    expect(await looks(source, 3)).toEqual([undefined, "rejected", undefined]);
    rmSync(folder, { recursive: true });
    await looks(source, 3);
    expect(tagsOf(kit, "a")).toEqual(["1"]);
    mkdirSync(folder);
    writeRoutes(path, { a: ["1"] });
    expect(await looks(source, 2)).toEqual([undefined, "unchanged"]);
    expect(kit.store.status().problems).toEqual([]);
    expect(kit.lab.lives).toHaveLength(1);
  });

  test("an editor's rename over the file is seen, also with equal size and time", async () => {
    const { kit, path, folder, source } = await serving();
    const { atime, mtime } = statSync(path);
    writeRoutes(join(folder, "new"), { a: ["2"] });
    utimesSync(join(folder, "new"), atime, mtime);
    renameSync(join(folder, "new"), path);
    expect(await looks(source, 2)).toEqual([undefined, "applied"]);
    expect(tagsOf(kit, "a")).toEqual(["2"]);
  });

  test("a write that keeps size and time is seen", async () => {
    const { kit, path, source } = await serving();
    const { atime, mtime } = statSync(path);
    writeRoutes(path, { a: ["2"] });
    utimesSync(path, atime, mtime);
    expect(await looks(source, 2)).toEqual([undefined, "applied"]);
    expect(tagsOf(kit, "a")).toEqual(["2"]);
  });

  test("a touched file is read and found unchanged", async () => {
    const { path, source } = await serving();
    utimesSync(path, new Date(0), new Date(0));
    expect(await looks(source, 3)).toEqual([undefined, "unchanged", undefined]);
  });

  test("Kubernetes swaps the link that a volume's files stand behind", async () => {
    const { kit, folder, source: _unused } = await open();
    const put = (version: string, tag: string): void => {
      mkdirSync(join(folder, version));
      writeRoutes(join(folder, version, "routes.yaml"), { a: [tag] });
      symlinkSync(version, join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    };
    put("..2026_01", "1");
    symlinkSync("..data/routes.yaml", join(folder, "routes.yaml"));
    for (const path of [folder, join(folder, "routes.yaml")]) {
      rmSync(join(folder, "..2026_02"), { recursive: true, force: true });
      symlinkSync("..2026_01", join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
      const source = createSource(kit, { path });
      await source.start();
      expect(tagsOf(kit, "a")).toEqual(["1"]);
      put("..2026_02", "2");
      expect(await looks(source, 2)).toEqual([undefined, "applied"]);
      expect(tagsOf(kit, "a")).toEqual(["2"]);
    }
  });
});

describe("FileSource: a folder", () => {
  async function openFolder(limits?: Readonly<Record<string, unknown>>): Promise<Opened> {
    const { kit, folder } = await open(limits);
    return { kit, folder, path: folder, source: createSource(kit, { path: folder }) };
  }

  test("its *.yaml, *.yml and *.json are read, hidden files and folders are not", async () => {
    const { kit, folder, source } = await openFolder();
    writeRoutes(join(folder, "a.yaml"), { a: ["1"] });
    writeRoutes(join(folder, "b.yml"), { b: ["1"] });
    writeFileSync(join(folder, "c.json"), '{ "routes": [{ "route": "c", "policies": [] }] }');
    for (const name of [".hidden.yaml", "..data.yaml", "readme.md", "a.yaml~", "a.yaml.bak"]) {
      writeFileSync(join(folder, name), "nonsense: [");
    }
    mkdirSync(join(folder, "deeper.yaml"));
    mkdirSync(join(folder, "deeper"));
    writeRoutes(join(folder, "deeper", "d.yaml"), { d: ["1"] });
    expect((await source.start()).problems).toEqual([]);
    expect([...kit.store.current!.routes()].map(([route]) => route)).toEqual(["a", "b", "c"]);
  });

  test("a bad file keeps its own routes; added and deleted files are followed", async () => {
    const { kit, folder, source } = await openFolder();
    writeRoutes(join(folder, "a.yaml"), { a: ["1"] });
    writeRoutes(join(folder, "b.yaml"), { b: ["1"] });
    await source.start();
    writeFileSync(join(folder, "a.yaml"), "routes: [");
    writeRoutes(join(folder, "b.yaml"), { b: ["2"] });
    expect(await looks(source, 2)).toEqual([undefined, "partial"]);
    expect([tagsOf(kit, "a"), tagsOf(kit, "b")]).toEqual([["1"], ["2"]]);
    writeRoutes(join(folder, "a.yaml"), { a: ["2"] });
    writeRoutes(join(folder, "c.yaml"), { c: ["1"] });
    expect(await looks(source, 2)).toEqual([undefined, "applied"]);
    unlinkSync(join(folder, "b.yaml"));
    expect(await looks(source, 3)).toEqual([undefined, undefined, "applied"]);
    expect(kit.store.current?.lookup("b")).toBeUndefined();
    unlinkSync(join(folder, "a.yaml"));
    unlinkSync(join(folder, "c.yaml"));
    expect(await looks(source, 3)).toEqual([undefined, "rejected", undefined]);
    expect(tagsOf(kit, "a")).toEqual(["2"]);
    expect(kit.store.status().problems[0]?.message).toContain("the folder has no route files");
  });

  test("a file moved to another name keeps its routes and their instances", async () => {
    const { kit, folder, source } = await openFolder();
    writeRoutes(join(folder, "a.yaml"), { a: ["1"] });
    await source.start();
    renameSync(join(folder, "a.yaml"), join(folder, "z.yaml"));
    expect(await looks(source, 2)).toEqual([undefined, "unchanged"]);
    expect(kit.lab.lives).toHaveLength(1);
    expect(kit.store.status().routes[0]?.source).toBe(join(folder, "z.yaml"));
  });

  test("a dangling link is one file that cannot be read", async () => {
    const { folder, ...rest } = await openFolder();
    symlinkSync("nowhere", join(folder, "a.yaml"));
    expect(await startError({ folder, ...rest })).toContain("it does not exist");
  });

  test("too many files, or too many bytes in all of them, are refused", async () => {
    const many = await openFolder({ routeFiles: 2 });
    for (const name of ["a", "b", "c"]) writeRoutes(join(many.folder, `${name}.yaml`), { [name]: [] });
    expect(await startError(many)).toContain("it has 3 route files, at most 2 are allowed");
    const large = await openFolder({ routeFileBytes: "1KiB" });
    for (const name of ["a", "b"])
      writeFileSync(join(large.folder, `${name}.yaml`), `# ${" ".repeat(600)}\nroutes: []`);
    expect(await startError(large)).toContain("b.yaml");
  });

  test("duplicates across files name both places", async () => {
    const { folder, source } = await openFolder();
    writeRoutes(join(folder, "a.yaml"), { same: ["1"] });
    writeRoutes(join(folder, "b.yaml"), { same: ["1"] });
    const report = await source.start();
    expect(report.problems[0]).toMatchObject({
      file: join(folder, "b.yaml"),
      message: `Duplicate route "same": ${join(folder, "a.yaml")}:2:12 has it too`,
    });
  });

  test("a secret's path starts at the folder of the file that names it", async () => {
    const { kit, folder, source } = await openFolder();
    writeFileSync(join(folder, "key"), "from-a-file\n");
    writeFileSync(
      join(folder, "a.yaml"),
      "routes: [{ route: a, policies: [{ name: tag, version: v1, parameters: { apiKey: { fromFile: key } } }] }]",
    );
    expect((await source.start()).problems).toEqual([]);
    expect(kit.lab.lives[0]?.params.apiKey).toBe("from-a-file");
    writeFileSync(join(folder, "key"), "another\n");
    expect((await source.reload()).result).toBe("applied");
  });
});

describe("FileSource: reload and watch", () => {
  test("reload() reads at once, also a removal, and retries what failed", async () => {
    const { kit, path, source } = await serving();
    writeRoutes(path, { b: ["1"] });
    expect((await source.reload()).result).toBe("applied");
    expect((await source.reload()).result).toBe("unchanged");
    kit.lab.creating = () => {
      throw new Error("the network is down");
    };
    writeRoutes(path, { b: ["2"] });
    expect((await source.reload()).result).toBe("rejected");
    kit.lab.creating = undefined;
    expect((await source.reload()).result).toBe("applied");
    expect(await looks(source, 2)).toEqual([undefined, undefined]);
  });

  test("the watch brings a change by itself, survives errors, and ends with stop()", async () => {
    const { kit, path } = await open();
    writeRoutes(path, { a: ["1"] });
    const source = createSource(kit, { path, watch: true, pollMilliseconds: 1 });
    await source.start();
    const until = async (reached: () => boolean): Promise<void> => {
      while (!reached()) await Bun.sleep(1);
    };
    writeFileSync(path, "routes: [");
    await until(() => kit.store.status().lastReload?.result === "rejected");
    chmodSync(path, 0o000);
    unlinkSync(path);
    await until(() => kit.store.status().problems[0]?.message.includes("it does not exist") === true);
    writeRoutes(path, { a: ["2"] });
    await until(() => tagsOf(kit, "a")?.[0] === "2");
    await source.stop();
    writeRoutes(path, { a: ["3"] });
    expect(await looks(source, 3)).toEqual([undefined, undefined, undefined]);
    expect(tagsOf(kit, "a")).toEqual(["2"]);
  });

  test("looks that fail are logged once, until one works", async () => {
    const { kit, path, source } = await serving();
    const { apply } = kit.store;
    const faults = (): number => kit.lines.filter((line) => line.includes("Cannot watch")).length;
    kit.store.apply = () => Promise.reject(new Error("out of order"));
    writeRoutes(path, { a: ["2"] });
    expect(await looks(source, 5)).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect(faults()).toBe(1);
    kit.store.apply = apply;
    expect(await looks(source, 2)).toContain("applied");
    kit.store.apply = () => Promise.reject(new Error("out of order"));
    writeRoutes(path, { a: ["3"] });
    await looks(source, 5);
    expect(faults()).toBe(2);
  });
});
