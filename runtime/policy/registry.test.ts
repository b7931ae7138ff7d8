import { describe, expect, test } from "bun:test";
import { createLogger } from "../observability/log.ts";
import { loadPolicies } from "./load-policies.ts";
import { type BuildInfo, type PolicyModule, PolicyRegistry, type RegistryEntry } from "./registry.ts";

const BUILD: BuildInfo = {
  version: "v0.1.0",
  gitCommit: "abc",
  builtAt: "2026-01-31T12:00:00Z",
  builderVersion: "0.1.0",
  sdkVersion: "1.0.0",
  bunVersion: "1.4.5",
};

const GOOD: PolicyModule = { getPolicy: () => ({ onRequest() {} }) };

function entry(name: string, version: string, extra: Partial<RegistryEntry> = {}): RegistryEntry {
  return {
    name,
    version,
    definition: `name: ${name}\nversion: ${version}\ndescription: The ${name}\nsupportsResponsePhase: false\n`,
    sourcePath: `policies/${name}/${version}`,
    integrity: "sha256-x",
    load: async () => GOOD,
    ...extra,
  };
}

async function load(...entries: RegistryEntry[]): Promise<{ registry: PolicyRegistry; lines: string[] }> {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", format: "json", write: (line) => void lines.push(line) });
  return { registry: await PolicyRegistry.load(entries, { build: BUILD, log }), lines };
}

describe("FR-013, FR-030: resolve()", () => {
  const versions = ["v1.9.0", "v1.10.0", "v1.11.0-rc.1", "v2.0.0-beta", "v10.0.0", "v1.2.3"];

  test("finds each of several versions by name and version", async () => {
    const { registry } = await load(...versions.map((version) => entry("jwt", version)));
    for (const version of versions) {
      const { policy } = registry.resolve("jwt", version);
      expect(policy?.definition.version).toBe(version);
      expect(policy?.module).toBe(GOOD);
    }
  });

  test("edge: a definition comes as values too, and is checked: one that is not valid fails alone", async () => {
    const { registry, lines } = await load(
      entry("jwt", "v1.0.0", { definition: { name: "jwt", version: "v1.0.0" } }),
      entry("cors", "v1.0.0", { definition: { name: "cors", version: "v1.0.0", failureMode: "ajar" } }),
      entry("none", "v1.0.0", { definition: undefined }),
    );
    expect(registry.resolve("jwt", "v1").policy?.definition.failureMode).toBe("closed");
    expect(registry.resolve("cors", "v1").message).toContain("its definition is not valid");
    expect(registry.resolve("none", "v1").message).toContain("its definition is not valid");
    expect(lines.filter((line) => line.includes("Cannot load policy"))).toHaveLength(2);
  });

  test("v1 is the highest v1, by number, no prerelease", async () => {
    const { registry } = await load(...versions.map((version) => entry("jwt", version)));
    expect(registry.resolve("jwt", "v1").policy?.definition.version).toBe("v1.10.0");
    expect(registry.resolve("jwt", "v10").policy?.definition.version).toBe("v10.0.0");
    expect(registry.resolve("jwt", "v2")).toEqual({
      message: 'Cannot find policy "jwt" v2: that version is not in this executable',
      hint: "Versions in this executable: v1.2.3, v1.9.0, v1.10.0, v1.11.0-rc.1, v2.0.0-beta, v10.0.0",
    });
  });

  test("US3.3: a version that is not in the executable is named, with those that are", async () => {
    const { registry } = await load(entry("jwt", "v1.0.0"), entry("jwt", "v2.0.0"));
    expect(registry.resolve("jwt", "v3.0.0")).toEqual({
      message: 'Cannot find policy "jwt" v3.0.0: that version is not in this executable',
      hint: "Versions in this executable: v1.0.0, v2.0.0",
    });
  });

  test("an unknown name gets the nearest one", async () => {
    const { registry } = await load(entry("set-header", "v1.0.0"), entry("jwt", "v1.0.0"));
    expect(registry.resolve("set-haeder", "v1")).toEqual({
      message: 'Cannot find policy "set-haeder": it is not in this executable',
      hint: 'Did you mean "set-header"?',
    });
    expect(registry.resolve("quota", "v1")).toMatchObject({ hint: "Known here: jwt, set-header" });
    expect((await load()).registry.resolve("jwt", "v1")).toMatchObject({
      hint: "This executable has no policies",
    });
  });

  test.each(["1.0.0", "v1.0", "latest", "", "v01", "v1.0.0\n", "V1"])("%j is no version", async (version) => {
    const { registry } = await load(entry("jwt", "v1.0.0"));
    expect(registry.resolve("jwt", version)).toMatchObject({
      message: `Cannot use version ${JSON.stringify(version)}: "v1.2.3" or "v1" is needed`,
    });
  });

  test.each(["constructor", "__proto__", "toString"])("%j is no policy", async (name) => {
    const { registry } = await load(entry("jwt", "v1.0.0"));
    expect(registry.resolve(name, "v1").policy).toBeUndefined();
  });
});

describe("load() keeps what fails as failed, by itself", () => {
  const bad: [string, Partial<RegistryEntry>, RegExp][] = [
    [
      "throws at import",
      { load: () => Promise.reject(new Error("no such thing")) },
      /^its module throws at import: Error: no such thing$/,
    ],
    [
      "throws before it is imported",
      {
        load: () => {
          throw new TypeError("bad");
        },
      },
      /^its module throws at import: TypeError: bad$/,
    ],
    [
      "throws what cannot be printed",
      { load: () => Promise.reject(Object.create(null)) },
      /cannot be printed$/,
    ],
    [
      "exports no getPolicy",
      { load: async () => ({}) as PolicyModule },
      /^its module does not export a function getPolicy$/,
    ],
    [
      "exports a getPolicy that is no function",
      { load: async () => ({ getPolicy: 3 }) as never },
      /^its module does not export a function getPolicy$/,
    ],
    [
      "exports a validate that is no function",
      { load: async () => ({ ...GOOD, validate: "x" }) as never },
      /^its module exports a validate that is not a function$/,
    ],
    [
      "has exports that throw",
      {
        load: async () =>
          ({
            get getPolicy() {
              throw new ReferenceError("not initialised");
            },
          }) as never,
      },
      /^its exports cannot be read: ReferenceError: not initialised$/,
    ],
    [
      "is imported as nothing",
      { load: async () => undefined as never },
      /^its exports cannot be read: TypeError/,
    ],
    [
      "has a bad definition",
      { definition: "name: bad\nversion: 1\n" },
      /^its definition is not valid: policy-definition\.yaml:2:10: error: "version" must be/,
    ],
    [
      "has an unknown key in its definition, hint on the same line",
      { definition: "name: bad\nversion: v1.0.0\nfailuremode: open\n" },
      /^its definition is not valid: .*3:1: error: Unknown key "failuremode" \(\/failuremode\), hint: Did you mean "failureMode"\?$/,
    ],
    [
      "has the definition of another version",
      { definition: "name: bad\nversion: v2.0.0\n" },
      /^its definition is that of "bad" v2\.0\.0$/,
    ],
  ];

  test.each(bad)("one that %s", async (_title, extra, reason) => {
    const { registry, lines } = await load(entry("good", "v1.0.0"), entry("bad", "v1.0.0", extra));
    expect(registry.resolve("good", "v1").policy).toBeDefined();
    const { message, policy } = registry.resolve("bad", "v1.0.0");
    expect(policy).toBeUndefined();
    expect(message).toStartWith('Cannot use policy "bad" v1.0.0: its ');
    const [failed, good] = registry.list();
    expect(failed?.error).toMatch(reason);
    expect(good).not.toHaveProperty("error");
    const errors = lines
      .map((line) => JSON.parse(line))
      .filter(({ level }) => level.toLowerCase() === "error");
    expect(errors).toHaveLength(1);
    expect(errors[0].message).toStartWith('Cannot load policy "bad:v1.0.0": its ');
  });

  test("a failed version is not replaced by a lower one", async () => {
    const load11 = () => Promise.reject(new Error("x"));
    const { registry } = await load(entry("p", "v1.0.0"), entry("p", "v1.1.0", { load: load11 }));
    expect(registry.resolve("p", "v1").message).toBe(
      'Cannot use policy "p" v1.1.0: its module throws at import: Error: x',
    );
    expect(registry.resolve("p", "v1.0.0").policy).toBeDefined();
  });

  test("name and version twice: neither is used, because they may differ", async () => {
    const { registry } = await load(entry("p", "v1.0.0"), entry("p", "v1.0.0"), entry("p", "v1.0.1"));
    expect(registry.resolve("p", "v1.0.0").message).toBe(
      'Cannot use policy "p" v1.0.0: it is in this executable 2 times, one is needed',
    );
    expect(registry.resolve("p", "v1.0.1").policy).toBeDefined();
  });

  test("an import that never ends does not hold up the others", async () => {
    const never = entry("never", "v1.0.0", { load: () => new Promise(() => {}) });
    const [first, second] = await loadPolicies([never, entry("good", "v1.0.0")], 5);
    expect(first?.error).toBe("its module is not imported after 5 ms");
    expect(second?.policy).toBeDefined();
  });
});

test("list() tells each version once, in order, with its phases", async () => {
  const both = "name: b\nversion: v1.0.0\n";
  const { registry, lines } = await load(
    entry("b", "v1.10.0"),
    entry("b", "v1.9.0"),
    entry("b", "v1.0.0", { definition: both }),
    entry("a", "v1.0.0"),
  );
  expect(registry.list().map(({ name, version }) => `${name}:${version}`)).toEqual([
    "a:v1.0.0",
    "b:v1.0.0",
    "b:v1.9.0",
    "b:v1.10.0",
  ]);
  expect(registry.list()[0]).toEqual({
    name: "a",
    version: "v1.0.0",
    description: "The a",
    phases: ["request"],
    sourcePath: "policies/a/v1.0.0",
    integrity: "sha256-x",
  });
  expect(registry.list()[1]?.phases).toEqual(["request", "response"]);
  expect(JSON.parse(lines[0] ?? "").message).toBe("Loaded 4 policy versions");
});

test("a registry of no policies is fine", async () => {
  const { registry, lines } = await load();
  expect(registry.list()).toEqual([]);
  expect(JSON.parse(lines[0] ?? "").message).toBe("Loaded 0 policy versions");
});
