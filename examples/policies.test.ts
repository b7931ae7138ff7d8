import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { testPolicy } from "@policy-engine/testing";
import { paramsTypes } from "../builder/params-types.ts";
import { formatProblem } from "../runtime/document/problem.ts";
import { parseYaml } from "../runtime/document/yaml-document.ts";
import { compileParameters } from "../runtime/policy/parameters.ts";
import { parseDefinition } from "../runtime/policy/parse-definition.ts";
import * as apiKeysV1 from "./policies/api-key-validation/v1.0.0/policy.ts";
import * as apiKeysV2 from "./policies/api-key-validation/v2.0.0/policy.ts";

interface Manifest {
  readonly version: string;
  readonly policies: readonly { readonly name: string; readonly uri: string }[];
}

interface Reference {
  readonly name: string;
  readonly version: string;
  readonly parameters: unknown;
}

const folders = [...new Bun.Glob("policies/*/v*/").scanSync({ cwd: import.meta.dir, onlyFiles: false })]
  .map((folder) => folder.replace(/\/$/, ""))
  .sort();

function read(...path: string[]): Promise<string> {
  return Bun.file(join(import.meta.dir, ...path)).text();
}

test("the manifest names every policy beside it, in order", async () => {
  const manifest = Bun.YAML.parse(await read("policy-manifest.yaml")) as Manifest;
  expect(manifest.version).toBe("v1");
  expect(manifest.policies).toEqual(
    folders.map((folder) => ({ name: folder.split("/")[1]!, uri: `./${folder}` })),
  );
  expect(folders).toContain("policies/api-key-validation/v2.0.0");
});

describe.each(folders)("%s", (folder) => {
  const [, name, version] = folder.split("/");

  test("FR-032: has a valid definition of the name and version that its folder says", async () => {
    const { definition, problems } = parseDefinition(
      await read(folder, "policy-definition.yaml"),
      "definition",
    );
    expect(problems.map(formatProblem)).toEqual([]);
    expect(definition).toMatchObject({ name: name!, version: version!, sdk: "^1.0.0" });
    expect(definition?.description).toMatch(/^[A-Z].*\.$/);
  });

  test("has the parameter types that its definition gives", async () => {
    const { definition } = parseDefinition(await read(folder, "policy-definition.yaml"), "definition");
    expect(await read(folder, "params.gen.ts")).toBe(paramsTypes(definition!.parameters, definition!));
  });

  test("has a README whose example is accepted, and that names every parameter", async () => {
    const readme = await read(folder, "README.md");
    expect(readme).toStartWith(`# ${name} ${version}\n`);
    const { definition } = parseDefinition(await read(folder, "policy-definition.yaml"), "definition");
    const module = await import(join(import.meta.dir, folder, "policy.ts"));
    const { parameters } = compileParameters(definition!.parameters);
    const blocks = [...readme.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)];
    expect(blocks).not.toBeEmpty();
    for (const [, block] of blocks) {
      const { value, problems } = parseYaml(block!, "README.md");
      expect(problems).toEqual([]);
      const references = (value as { policies: Reference[] }).policies;
      expect(references.map((reference) => [reference.name, reference.version])).toEqual([[name!, version!]]);
      // Every reference leads to a secret of its own, as in a real configuration.
      const secrets = {
        read: (reference: object) => ({ value: JSON.stringify(reference).replaceAll(" ", "") }),
      };
      const { params, issues } = parameters!.check(references[0]!.parameters, secrets);
      expect(issues).toEqual([]);
      expect(module.validate(params)).toEqual([]);
    }
    for (const parameter of Object.keys(definition!.parameters.properties as object)) {
      expect(readme).toMatch(new RegExp(`\`${parameter}[\`.\\[]`));
    }
  });
});

test("US3.1, US3.2: two versions of one policy, each with its own parameters and behaviour", async () => {
  const v1 = { definition: join(import.meta.dir, "policies/api-key-validation/v1.0.0") };
  const v2 = { definition: join(import.meta.dir, "policies/api-key-validation/v2.0.0") };
  const keys = ["shared-key"];
  const consumers = [{ id: "acme", keys }];
  await using older = await testPolicy(apiKeysV1, { ...v1, params: { keys } });
  await using newer = await testPolicy(apiKeysV2, { ...v2, params: { consumers } });
  const request = { headers: { "x-api-key": "shared-key" } };
  expect((await older.request(request)).metadata.has("auth")).toBe(false);
  expect((await newer.request(request)).metadata.has("auth")).toBe(true);
  await expect(testPolicy(apiKeysV1, { ...v1, params: { consumers } })).rejects.toThrow("consumers");
  await expect(testPolicy(apiKeysV2, { ...v2, params: { keys } })).rejects.toThrow("consumers");
});
