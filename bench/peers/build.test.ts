import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { buildPeer } from "./build.ts";

const { PATH } = process.env;
afterEach(() => {
  process.env.PATH = PATH;
});

test.each([
  ["grpc-go", "go is not on PATH"],
  ["tonic", "cargo is not on PATH"],
] as const)("%s is left out by name where its toolchain is missing", async (name, reason) => {
  process.env.PATH = "/nowhere";
  expect(await buildPeer(name)).toEqual({ leftOut: expect.stringContaining(reason) });
});

test("the ceiling stands on the transport of the engine", async () => {
  const project = join(import.meta.dir, "../..");
  const transportsOf = async (file: string) =>
    [
      ...(await Bun.file(join(project, file)).text()).matchAll(
        /import \{ create\w+Transport\b[^}]*\} from ".*\/(transport\/.*)";/g,
      ),
    ].map(([, module]) => module);
  const ceiling = await transportsOf("bench/peers/ceiling/main.ts");
  expect(ceiling).not.toEqual([]);
  expect(ceiling).toEqual(await transportsOf("runtime/ext-proc-transport.ts"));
});
