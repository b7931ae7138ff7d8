import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

function file(route: string, label: string): string {
  const policies = [{ name: "tag", version: "v1.0.0", parameters: { label } }];
  return JSON.stringify({ routes: [{ route, policies }] });
}

let folder: string;
let stack: Stack;

async function trace(route: string): Promise<string | undefined> {
  return (await stack.get(`/${route}`)).echo().header("x-trace");
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "policy-engine-routes-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a folder of route files", () => {
  const routes = () => join(folder, "folder");

  beforeAll(async () => {
    await mkdir(routes());
    await writeFile(join(routes(), "a.yaml"), file("a", "1"));
    await writeFile(join(routes(), "b.json"), file("b", "1"));
    stack = await startStack({
      routes: [],
      config: { routes: { path: routes() } },
      envoyRoutes: ["a", "b", "c"],
    });
  }, BUILD_TIMEOUT_MS);

  afterAll(() => stack?.stop());

  test("FR-010: every file counts", async () => {
    expect([await trace("a"), await trace("b")]).toEqual(["1", "1"]);
  });

  test("FR-010: a file that is added is noticed, and one that is written in place", async () => {
    await writeFile(join(routes(), "c.yaml"), file("c", "new"));
    await waitFor("the new file", async () => (await trace("c")) === "new");
    await writeFile(join(routes(), "a.yaml"), file("a", "2"));
    await waitFor("the changed file", async () => (await trace("a")) === "2");
    expect(await trace("b")).toBe("1");
  });

  test("edge: a route in two files is an error, and both keep what they had", async () => {
    const since = stack.engine.logs().length;
    await writeFile(join(routes(), "d.yaml"), file("a", "twice"));
    await stack.engine.waitForLog("d.yaml", since);
    expect([await trace("a"), await trace("b")]).toEqual(["2", "1"]);
  });

  test("edge: a folder that vanishes keeps the last good routes", async () => {
    const since = stack.engine.logs().length;
    await rename(routes(), `${routes()}-gone`);
    await stack.engine.waitForLog("folder", since);
    expect([await trace("a"), await trace("c")]).toEqual(["2", "new"]);
  });
});

describe("a mounted ConfigMap", () => {
  const mount = () => join(folder, "mount");

  beforeAll(async () => {
    await mkdir(join(mount(), "..data-1"), { recursive: true });
    await writeFile(join(mount(), "..data-1/routes.yaml"), file("a", "first"));
    await symlink("..data-1", join(mount(), "..data"));
    await symlink("..data/routes.yaml", join(mount(), "routes.yaml"));
    stack = await startStack({
      routes: [],
      config: { routes: { path: join(mount(), "routes.yaml") } },
      envoyRoutes: ["a"],
    });
  }, BUILD_TIMEOUT_MS);

  afterAll(() => stack?.stop());

  test("FR-010: the swap of its symbolic link is noticed", async () => {
    expect(await trace("a")).toBe("first");
    await mkdir(join(mount(), "..data-2"));
    await writeFile(join(mount(), "..data-2/routes.yaml"), file("a", "second"));
    await symlink("..data-2", join(mount(), "..data_tmp"));
    await rename(join(mount(), "..data_tmp"), join(mount(), "..data"));
    await rm(join(mount(), "..data-1"), { recursive: true });
    await waitFor("the second version", async () => (await trace("a")) === "second");
  });
});
