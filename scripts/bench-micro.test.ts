import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { PARTS } from "./bench-micro.ts";

test("every micro benchmark is there", () => {
  const scripts = Object.values(PARTS).flatMap((runs) => runs.map(([script = ""]) => script));
  expect(scripts.length).toBeGreaterThan(5);
  expect(scripts.filter((script) => !existsSync(join(resolve(import.meta.dir, "../bench"), script)))).toEqual(
    [],
  );
});
