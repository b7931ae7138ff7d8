import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const PROJECT = resolve(import.meta.dir, "../..");

async function documents(): Promise<[file: string, text: string][]> {
  const files = await Array.fromAsync(new Bun.Glob("**/*.md").scan({ cwd: PROJECT }));
  const ours = files.filter((file) => !/node_modules\/|^dist\//.test(file)).toSorted();
  return Promise.all(
    ours.map(async (file): Promise<[string, string]> => [file, await Bun.file(join(PROJECT, file)).text()]),
  );
}

const all = await documents();

test("documents link only to files and headings that exist", async () => {
  const broken: string[] = [];
  for (const [file, text] of all) {
    const prose = text.replace(/```[\s\S]*?```/g, "");
    for (const [, link = ""] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?|mailto):/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? file : join(dirname(file), path);
      const missing = !existsSync(join(PROJECT, target));
      if (missing || (anchor !== undefined && !(await headings(target)).has(anchor)))
        broken.push(`${file}: ${link}`);
    }
  }
  expect(broken).toEqual([]);
});

test("documents name only make targets that exist", async () => {
  const makefile = await Bun.file(join(PROJECT, "Makefile")).text();
  const targets = new Set([...makefile.matchAll(/^([a-z-]+):/gm)].map(([, name]) => name));
  expect(targets).toContain("test");
  const unknown = all.flatMap(([file, text]) =>
    [...text.matchAll(/(?:`|^\s*\$? ?)make ([a-z][a-z-]*)/gm)]
      .filter(([, target]) => !targets.has(target))
      .map(([, target]) => `${file}: make ${target}`),
  );
  expect(unknown).toEqual([]);
});

test("every target of the Makefile says what it does", async () => {
  const makefile = await Bun.file(join(PROJECT, "Makefile")).text();
  const silent = [...makefile.matchAll(/^([a-z-]+):(?!=)(.*)$/gm)]
    .filter(([, , rest]) => !rest?.includes("## "))
    .map(([, name]) => name);
  expect(silent).toEqual([]);
});

/** The anchors of a document, made the way code hosts make them. */
async function headings(file: string): Promise<Set<string>> {
  const text = await Bun.file(join(PROJECT, file)).text();
  return new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}
