import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { claimSocket, formatAddress, withPrivateFiles } from "./listen-address.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "listen-address-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A program that leaves the file of a socket behind, as a killed engine does. */
async function leaveStale(path: string): Promise<void> {
  const program = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
  await Bun.spawn([process.execPath, "-e", program]).exited;
  expect((await stat(path)).isSocket()).toBe(true);
}

function listening(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

test.each([
  [{ kind: "tcp", host: "0.0.0.0", port: 9001 }, "0.0.0.0:9001"],
  [{ kind: "tcp", host: "localhost", port: 0 }, "localhost:0"],
  [{ kind: "tcp", host: "::", port: 9001 }, "[::]:9001"],
  [{ kind: "tcp", host: "::ffff:10.0.0.1", port: 65535 }, "[::ffff:10.0.0.1]:65535"],
  [{ kind: "unix", path: "/run/a.sock" }, "unix:/run/a.sock"],
] as const)("FR-034: %j is written as %s", (address, expected) => {
  expect(formatAddress(address)).toBe(expected);
});

describe("claimSocket()", () => {
  test("has nothing to do where nothing is", async () => {
    await claimSocket(join(folder, "free.sock"));
    expect(await stat(join(folder, "free.sock")).catch(() => "none")).toBe("none");
  });

  test("removes the socket of a program that is gone", async () => {
    const path = join(folder, "stale.sock");
    await leaveStale(path);
    await claimSocket(path);
    expect(await stat(path).catch(() => "none")).toBe("none");
  });

  test("leaves a socket alone that somebody listens on", async () => {
    const path = join(folder, "live.sock");
    const server = await listening(path);
    await expect(claimSocket(path)).rejects.toThrow(
      `Cannot listen on "unix:${path}": another process listens there`,
    );
    expect((await stat(path)).isSocket()).toBe(true);
    server.close();
  });

  test("leaves a socket alone that it may not connect to: somebody may listen there", async () => {
    // In a process of its own, which gives up the rights of the superuser if it has them.
    const open = await mkdtemp(join(tmpdir(), "listen-address-open-"));
    await chmod(open, 0o777);
    const path = join(open, "foreign.sock");
    const program = `
      const { claimSocket } = await import(${JSON.stringify(join(import.meta.dir, "listen-address.ts"))});
      const { chmodSync } = await import("node:fs");
      require("node:net").createServer().listen(${JSON.stringify(path)}, async () => {
        chmodSync(${JSON.stringify(path)}, 0);
        if (process.getuid() === 0) process.setuid(65534);
        console.log(await claimSocket(${JSON.stringify(path)}).then(() => "claimed", (error) => error.message));
        process.exit();
      });`;
    const child = Bun.spawn([process.execPath, "-e", program]);
    const said = await new Response(child.stdout).text();
    await rm(open, { recursive: true });
    expect(said.trim()).toBe(`Cannot listen on "unix:${path}": another process listens there`);
  });

  test.each([
    ["a file", (path: string) => writeFile(path, "precious")],
    ["a folder", (path: string) => mkdir(path)],
    ["a link, wherever it leads", (path: string) => symlink("/nowhere", path)],
  ])("leaves %s alone", async (name, make) => {
    const path = join(folder, name.replaceAll(/\W/g, ""));
    await make(path);
    await expect(claimSocket(path)).rejects.toThrow(
      `Cannot listen on "unix:${path}": the file exists and is not a socket`,
    );
    if (name === "a file") expect(await readFile(path, "utf8")).toBe("precious");
  });

  test.each([
    ["missing", "missing/x.sock"],
    ["a file", "plain/x.sock"],
  ])("names a folder that is %s", async (_, name) => {
    await writeFile(join(folder, "plain"), "");
    const path = join(folder, name);
    await expect(claimSocket(path)).rejects.toThrow(
      `Cannot listen on "unix:${path}": folder "${join(path, "..")}" is missing or not writable`,
    );
  });
});

describe("withPrivateFiles()", () => {
  test("gives a socket mode 0600 from its first moment", async () => {
    const path = join(folder, "private.sock");
    let first = 0;
    const server = await withPrivateFiles(path, async () => {
      const made = await listening(path);
      first = (await stat(path)).mode & 0o777;
      return made;
    });
    expect([first, (await stat(path)).mode & 0o777]).toEqual([0o600, 0o600]);
    server.close();
  });

  test("puts the mask back, also after a failure", async () => {
    const before = process.umask();
    await expect(withPrivateFiles("/nowhere", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    await expect(withPrivateFiles(join(folder, "none"), () => Promise.resolve())).rejects.toThrow("ENOENT");
    expect(process.umask()).toBe(before);
  });
});
