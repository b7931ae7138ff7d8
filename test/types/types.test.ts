import { expect, test } from "bun:test";
import { join } from "node:path";
import { checkTypes, expectedErrors } from "./check.ts";

const folder = join(import.meta.dir, "fixtures");
const fixtures = [...new Bun.Glob("*.ts").scanSync(folder)].sort();
const checked = checkTypes(fixtures.map((name) => join(folder, name)));

test("every fixture is checked", () => {
  expect(fixtures).toEqual(["factories.ts", "hooks.ts", "valid.ts"]);
});

for (const name of fixtures) {
  test(`the compiler finds exactly the marked errors in ${name}`, async () => {
    const path = join(folder, name);
    const expected = expectedErrors(await Bun.file(path).text());
    expect((await checked).errors.get(path) ?? []).toEqual(expected);
  });
}

test("valid.ts promises that it has no errors", async () => {
  expect(expectedErrors(await Bun.file(join(folder, "valid.ts")).text())).toEqual([]);
});

test("expectedErrors() reads markers and nothing like them", () => {
  const source = [
    "// @expect-error TS1 TS22",
    "x;",
    "  // @expect-error TS333",
    "y;",
    "// @expect-error",
    "z;",
  ].join("\n");
  expect(expectedErrors(source)).toEqual([
    { line: 2, code: "TS1" },
    { line: 2, code: "TS22" },
    { line: 4, code: "TS333" },
  ]);
});
