import { describe, expect, test } from "bun:test";
import { createStore, PolicyLab, routeSet, routesText, type StoreKit, tagsOf } from "./config-fixtures.ts";
import type { ApplyReport } from "./snapshot-store.ts";

type Tags = Readonly<Record<string, readonly string[]>>;

async function open(limits?: Readonly<Record<string, unknown>>): Promise<StoreKit> {
  return createStore(await PolicyLab.open(), limits);
}

async function apply(kit: StoreKit, files: Readonly<Record<string, string>>): Promise<ApplyReport> {
  return kit.store.apply(await routeSet(files, kit.limits));
}

function applyTags(kit: StoreKit, routes: Tags): Promise<ApplyReport> {
  return apply(kit, { "routes.yaml": routesText(routes) });
}

const BROKEN = `
  - route: a
    policies:
      - { name: tag, version: v9.0.0 }
`;

describe("SnapshotStore: what is applied", () => {
  test("US8.5: a valid configuration is applied, with the parameters that were checked", async () => {
    const kit = await open();
    expect(kit.store.current).toBeUndefined();
    const report = await applyTags(kit, { a: ["1", "2"], b: [] });
    expect(report).toMatchObject({
      result: "applied",
      snapshot: 1,
      problems: [],
      routes: { active: 2, lastGood: 0, unavailable: 0, added: 2, changed: 0, removed: 0 },
    });
    expect(tagsOf(kit, "a")).toEqual(["1", "2"]);
    expect(tagsOf(kit, "b")).toEqual([]);
    expect(kit.store.current?.lookup("c")).toBeUndefined();
    expect([...kit.store.current!.routes()].map(([route]) => route)).toEqual(["a", "b"]);
    const [life] = kit.lab.of("a");
    expect(Object.isFrozen(life!.params)).toBe(true);
    expect(life!.metadata.engine).toEqual({ environment: "test" });
    expect(kit.metrics.routesActive.value).toBe(2);
  });

  test("US3.1: two versions of one policy serve two routes", async () => {
    const kit = await open();
    const report = await apply(kit, {
      "routes.yaml": `
routes:
  - { route: a, policies: [{ name: tag, version: v1.0.0 }] }
  - { route: b, policies: [{ name: tag, version: v2.0.0 }] }
  - { route: c, policies: [{ name: tag, version: v1 }] }
`,
    });
    expect(report.problems).toEqual([]);
    expect(kit.lab.lives.map(({ route, policy }) => [route, policy])).toEqual([
      ["a", "tag v1.0.0"],
      ["b", "tag v2.0.0"],
      ["c", "tag v1.2.0"],
    ]);
  });

  test("the chain carries the metadata of engine and route, the route's over the engine's", async () => {
    const kit = await open();
    await apply(kit, {
      "routes.yaml": "routes: [{ route: a, policies: [], metadata: { tier: gold, environment: mine } }]",
    });
    const state = kit.store.current?.lookup("a");
    expect(state?.kind === "chain" && Object.fromEntries(state.chain.metadata)).toEqual({
      environment: "mine",
      tier: "gold",
    });
  });

  test("responseOrder reaches the chain, and a change of it alone keeps the instances", async () => {
    const kit = await open();
    const text = routesText({ a: ["1", "2"] });
    await apply(kit, { "routes.yaml": text });
    const report = await apply(kit, {
      "routes.yaml": text.replace("route: a", "route: a\n    responseOrder: reversed"),
    });
    expect(report).toMatchObject({ result: "applied", routes: { changed: 1 } });
    expect(kit.lab.lives).toHaveLength(2);
    expect(kit.store.dump()[0]?.responseOrder).toBe("reversed");
  });

  test.each([
    ["onUnbufferable of a policy", "      - name: tag", "      - onUnbufferable: skip\n        name: tag"],
    ["limits", "route: a", "route: a\n    limits: { bodyBytes: 64KiB }"],
  ])("a change of %s alone makes another chain, of the same instances", async (_, from, to) => {
    const kit = await open();
    const text = "routes:\n  - route: a\n    policies:\n      - name: tag\n        version: v1\n";
    await apply(kit, { "routes.yaml": text });
    const chainOf = () => {
      const state = kit.store.current?.lookup("a");
      return state?.kind === "chain" ? state.chain : undefined;
    };
    const before = chainOf()!;
    const changed = { "routes.yaml": text.replace(from, to) };
    expect(await apply(kit, changed)).toMatchObject({ result: "applied", routes: { changed: 1 } });
    const after = chainOf()!;
    expect(after).not.toBe(before);
    const facts = (chain: typeof after) => [chain.bodyBytes, chain.steps[0]!.onUnbufferable];
    expect(facts(before)).toEqual([Number.POSITIVE_INFINITY, "deny"]);
    expect(facts(after)).toEqual(
      to.startsWith("route") ? [65_536, "deny"] : [Number.POSITIVE_INFINITY, "skip"],
    );
    expect(after.steps[0]!.policy).toBe(before.steps[0]!.policy);
    expect(kit.lab.lives).toHaveLength(1);
    const [dump] = kit.store.dump();
    expect(dump?.limits).toEqual(to.startsWith("route") ? { bodyBytes: 65_536 } : undefined);
    expect(dump?.policies?.[0]?.onUnbufferable).toBe(to.startsWith("route") ? undefined : "skip");
    // What was applied again is no change.
    expect(await apply(kit, changed)).toMatchObject({ result: "unchanged" });
    expect(chainOf()).toBe(after);
  });

  test("the same again is no change", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"] });
    const before = kit.store.current;
    expect(await applyTags(kit, { a: ["1"] })).toMatchObject({ result: "unchanged", snapshot: 1 });
    expect(kit.store.current).toBe(before);
    expect(kit.lab.lives).toHaveLength(1);
  });

  test("a policy that is not enabled is checked but not made", async () => {
    const kit = await open();
    const text = (parameters: string) => `
routes:
  - route: a
    policies: [{ name: tag, version: v1, enabled: false, executionCondition: "true", parameters: ${parameters} }]
`;
    expect((await apply(kit, { f: text("{ name: x-a }") })).problems).toEqual([]);
    expect(tagsOf(kit, "a")).toEqual([]);
    expect(kit.lab.lives).toEqual([]);
    expect((await apply(kit, { f: text("{ name: nonsense }") })).problems[0]?.pointer).toBe(
      "/routes/0/policies/0/parameters/name",
    );
    expect(await apply(kit, { f: text("{ name: x-b }") })).toMatchObject({ result: "applied" });
  });
});

describe("SnapshotStore: what stays", () => {
  test("FR-012: valid routes of a change apply, a route with errors keeps its last good chain", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"], b: ["1"] });
    const report = await apply(kit, { "routes.yaml": `${routesText({ b: ["2"], c: ["3"] })}${BROKEN}` });
    expect(report).toMatchObject({
      result: "partial",
      routes: { active: 2, lastGood: 1, unavailable: 0, added: 1, changed: 1, removed: 0 },
    });
    expect(report.problems).toHaveLength(1);
    expect([tagsOf(kit, "a"), tagsOf(kit, "b"), tagsOf(kit, "c")]).toEqual([["1"], ["2"], ["3"]]);
    expect(kit.store.status().routes).toEqual([
      { route: "a", source: "routes.yaml", status: "last-good" },
      { route: "b", source: "routes.yaml", status: "active" },
      { route: "c", source: "routes.yaml", status: "active" },
    ]);
    expect(await applyTags(kit, { a: ["1"], b: ["2"], c: ["3"] })).toMatchObject({
      result: "unchanged",
      routes: { active: 3, lastGood: 0 },
    });
    expect(kit.store.status().problems).toEqual([]);
  });

  test("a route that was never valid is unavailable until it is mended", async () => {
    const kit = await open();
    expect(await apply(kit, { f: `routes:${BROKEN}` })).toMatchObject({
      result: "partial",
      routes: { active: 0, unavailable: 1 },
    });
    expect(kit.store.current?.lookup("a")).toEqual({ kind: "unavailable" });
    expect(kit.metrics.routesUnavailable.value).toBe(1);
    expect(await apply(kit, { f: `routes:${BROKEN}` })).toMatchObject({ result: "rejected", snapshot: 1 });
    await applyTags(kit, { a: ["1"] });
    expect(tagsOf(kit, "a")).toEqual(["1"]);
    expect(kit.metrics.routesUnavailable.value).toBe(0);
  });

  test("routes that a valid set does not name are removed, and `routes: []` removes all", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"], b: ["1"] });
    expect(await applyTags(kit, { b: ["1"] })).toMatchObject({ result: "applied", routes: { removed: 1 } });
    expect(kit.store.current?.lookup("a")).toBeUndefined();
    expect(await apply(kit, { f: "routes: []" })).toMatchObject({
      result: "applied",
      routes: { removed: 1 },
    });
    expect([...kit.store.current!.routes()]).toEqual([]);
  });

  test.each([
    ["zero bytes", ""],
    ["blanks", " \n\n"],
    ["comments", "# all gone\n"],
    ["a document marker", "---\n"],
    ["no list", "routes:\n"],
    ["another key", "route: []\n"],
    ["a list at the top", "[]\n"],
    ["half a file", "routes:\n  - route: a\n    policies: [{ name: tag, ver"],
    ["a key twice", "routes: []\nroutes: []\n"],
  ])("an emptied or unparsable file removes nothing: %s", async (_name, text) => {
    const kit = await open();
    await applyTags(kit, { a: ["1"] });
    const before = kit.store.current;
    const report = await apply(kit, { "routes.yaml": text });
    expect(report).toMatchObject({ result: "rejected", snapshot: 1, routes: { removed: 0 } });
    expect(report.problems.length).toBeGreaterThan(0);
    expect(kit.store.current).toBe(before);
    expect(kit.lines.join("")).toContain("Rejected configuration: the last good one stays");
    expect(kit.store.status().lastReload?.result).toBe("rejected");
    expect(kit.store.status().problems).toEqual(report.problems);
  });

  test("edge: at start there is nothing to fall back on: one bad file of several refuses all", async () => {
    for (const bad of ["", "routes: [", "# nothing"]) {
      const kit = await open();
      const report = await apply(kit, {
        "a.yaml": routesText({ a: ["1"] }),
        "b.yaml": bad,
        "c.yaml": "no: 1",
      });
      expect(report).toMatchObject({ result: "rejected", snapshot: undefined });
      expect(new Set(report.problems.map(({ file }) => file))).toEqual(new Set(["b.yaml", "c.yaml"]));
      expect(kit.store.current).toBeUndefined();
      expect(kit.lab.lives).toEqual([]);
      expect(kit.lines.join("")).toContain("Rejected configuration: there is none to serve");
    }
  });

  test("a bad file among good ones keeps its own routes, the others apply", async () => {
    const kit = await open();
    await apply(kit, { "a.yaml": routesText({ a: ["1"] }), "b.yaml": routesText({ b: ["1"], gone: ["1"] }) });
    const report = await apply(kit, { "a.yaml": "routes: [", "b.yaml": routesText({ b: ["2"] }) });
    expect(report).toMatchObject({ result: "partial", routes: { changed: 1, removed: 1, lastGood: 1 } });
    expect([tagsOf(kit, "a"), tagsOf(kit, "b")]).toEqual([["1"], ["2"]]);
    expect(kit.store.current?.lookup("gone")).toBeUndefined();
  });

  test("a file that goes while others stay takes its routes with it", async () => {
    const kit = await open();
    await apply(kit, { "a.yaml": routesText({ a: ["1"] }), "b.yaml": routesText({ b: ["1"] }) });
    expect(await apply(kit, { "b.yaml": routesText({ b: ["1"] }) })).toMatchObject({
      routes: { removed: 1 },
    });
  });

  test("while an entry has no name, nothing is removed from its file", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"], b: ["1"] });
    const report = await apply(kit, { "routes.yaml": "routes: [{ rout: a, policies: [] }]" });
    expect(report).toMatchObject({ result: "rejected", routes: { removed: 0, lastGood: 2 } });
    expect(tagsOf(kit, "a")).toEqual(["1"]);
  });

  test("a route cannot be taken over from a file that cannot be read", async () => {
    const kit = await open();
    await apply(kit, { "a.yaml": routesText({ a: ["1"] }), "b.yaml": routesText({ b: ["1"] }) });
    const report = await apply(kit, { "a.yaml": "", "b.yaml": routesText({ b: ["1"], a: [] }) });
    expect(report.problems.map(({ message }) => message)).toContain(
      'Cannot move route "a": it came from "a.yaml", which cannot be used now',
    );
    expect(tagsOf(kit, "a")).toEqual(["1"]);
    await apply(kit, { "a.yaml": "routes: []", "b.yaml": routesText({ b: ["1"], a: [] }) });
    expect(tagsOf(kit, "a")).toEqual([]);
  });

  test("a duplicate route is an error that names both places, and keeps what was", async () => {
    const kit = await open();
    await apply(kit, { "a.yaml": routesText({ a: ["1"] }), "b.yaml": routesText({ b: ["1"] }) });
    const report = await apply(kit, {
      "a.yaml": routesText({ a: ["2"] }),
      "b.yaml": routesText({ b: ["1"], a: [] }),
    });
    expect(report.problems).toHaveLength(1);
    expect(report.problems[0]).toMatchObject({ file: "b.yaml", pointer: "/routes/1/route" });
    expect(report.problems[0]!.message).toBe('Duplicate route "a": a.yaml:2:12 has it too');
    expect(tagsOf(kit, "a")).toEqual(["1"]);
  });

  test("more routes than the limit are refused as a whole, in one file and in several", async () => {
    const kit = await open({ routes: 2 });
    const report = await applyTags(kit, { a: [], b: [], c: [] });
    expect(report.result).toBe("rejected");
    expect(report.problems[0]?.message).toBe("Cannot use 3 routes: at most 2 are allowed");
    const spread = await apply(kit, { f: routesText({ a: [], b: [] }), g: routesText({ c: [] }) });
    expect(spread.problems[0]).toMatchObject({
      file: "g",
      message: "Cannot use 3 routes: at most 2 are allowed",
    });
  });
});

describe("SnapshotStore: policies that fail to be made", () => {
  test("edge: a failing getPolicy is an error of its route, and what was made for it is closed", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["old"] });
    kit.lab.creating = (_metadata, { value }) => {
      if (value === "bad") throw new Error("no such thing");
    };
    const report = await applyTags(kit, { a: ["new", "bad"], b: ["new"], c: ["bad"] });
    expect(report).toMatchObject({ result: "partial", routes: { active: 1, lastGood: 1, unavailable: 1 } });
    expect(report.problems.map(({ pointer, message }) => [pointer, message])).toEqual([
      [
        "/routes/0/policies/1/name",
        'Cannot create policy "tag" v1.2.0: getPolicy failed: Error: no such thing',
      ],
      [
        "/routes/2/policies/0/name",
        'Cannot create policy "tag" v1.2.0: getPolicy failed: Error: no such thing',
      ],
    ]);
    expect(kit.lab.of("a").map(({ params, closed }) => [params.value, closed])).toEqual([
      ["old", 0],
      ["new", 1],
    ]);
    expect(tagsOf(kit, "a")).toEqual(["old"]);
    kit.lab.creating = undefined;
    expect(await applyTags(kit, { a: ["new", "bad"], b: ["new"], c: ["bad"] })).toMatchObject({
      result: "applied",
      routes: { active: 3, changed: 2 },
    });
  });

  test("edge: a getPolicy that never ends is bounded by limits.createTimeout", async () => {
    const kit = await open({ createTimeout: "10ms" });
    kit.lab.creating = () => new Promise(() => {});
    const report = await applyTags(kit, { a: ["1"] });
    expect(report.problems[0]?.message).toContain("getPolicy did not end within 10 ms");
    expect(kit.store.current?.lookup("a")).toEqual({ kind: "unavailable" });
  });

  test("policies are made side by side, sixteen at a time", async () => {
    const kit = await open();
    let now = 0;
    let most = 0;
    const { promise: full, resolve: reached } = Promise.withResolvers<void>();
    kit.lab.creating = async () => {
      now += 1;
      most = Math.max(most, now);
      if (now === 16) reached();
      await full;
      now -= 1;
    };
    const routes = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`r${index}`, ["1", "2"]]));
    expect((await applyTags(kit, routes)).routes.active).toBe(20);
    expect(most).toBe(16);
    expect(kit.lab.lives).toHaveLength(40);
  });
});

describe("SnapshotStore: lives of instances", () => {
  test("unchanged instances are carried over, changed ones get the previous, and are closed once", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["keep", "change"], b: ["keep"] });
    const [keep, change] = kit.lab.of("a");
    await applyTags(kit, { a: ["keep", "changed"], b: ["keep"] });
    expect(kit.lab.lives).toHaveLength(4);
    const replacement = kit.lab.of("a")[2]!;
    expect(replacement.metadata.previous).toBe(change!.instance);
    expect(kit.lab.of("a").map(({ closed }) => closed)).toEqual([0, 1, 0]);
    expect(change!.metadata.signal.aborted).toBe(true);
    await applyTags(kit, { b: ["keep"] });
    await kit.store.close();
    expect(kit.lab.lives.map(({ closed }) => closed)).toEqual([1, 1, 1, 1]);
    expect(keep!.closed).toBe(1);
    expect(kit.store.current).toBeUndefined();
  });

  test("instances follow their parameters when the order changes, and are not shared by routes", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1", "2", "1"] });
    await applyTags(kit, { a: ["2", "1", "1"], b: ["1"] });
    expect(kit.lab.lives.map(({ route }) => route)).toEqual(["a", "a", "a", "b"]);
    expect(tagsOf(kit, "a")).toEqual(["2", "1", "1"]);
    expect(kit.lab.lives.map(({ closed }) => closed)).toEqual([0, 0, 0, 0]);
    await applyTags(kit, { a: ["1"], b: ["1"] });
    expect(kit.lab.lives.reduce((sum, { closed }) => sum + closed, 0)).toBe(2);
  });

  test("a version that changes makes a new instance without a previous one", async () => {
    const kit = await open();
    const text = (version: string) =>
      `routes: [{ route: a, policies: [{ name: tag, version: ${version} }] }]`;
    await apply(kit, { f: text("v1.0.0") });
    await apply(kit, { f: text("v2.0.0") });
    expect(kit.lab.lives.map(({ metadata, closed }) => [metadata.previous, closed])).toEqual([
      [undefined, 1],
      [undefined, 0],
    ]);
  });

  test("a secret that changes behind its reference changes the instance", async () => {
    const kit = await open();
    const text =
      "routes: [{ route: a, policies: [{ name: tag, version: v1, parameters: { apiKey: { fromEnv: H2_KEY } } }] }]";
    process.env.H2_KEY = "first-secret";
    await apply(kit, { f: text });
    expect(await apply(kit, { f: text })).toMatchObject({ result: "unchanged" });
    process.env.H2_KEY = "second-secret";
    expect(await apply(kit, { f: text })).toMatchObject({ result: "applied", routes: { changed: 1 } });
    delete process.env.H2_KEY;
    expect(kit.lab.lives.map(({ params }) => params.apiKey)).toEqual(["first-secret", "second-secret"]);
  });

  test("a stream keeps its snapshot's instances open until it releases it", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"] });
    const pinned = kit.store.current!;
    pinned.retain();
    await applyTags(kit, { a: ["2"] });
    await applyTags(kit, { a: ["3"] });
    expect(kit.lab.lives.map(({ closed }) => closed)).toEqual([0, 1, 0]);
    const state = pinned.lookup("a");
    expect(state?.kind === "chain" && state.chain.steps[0]?.policy).toBe(kit.lab.lives[0]!.instance);
    pinned.release();
    expect(kit.lab.lives.map(({ closed }) => closed)).toEqual([1, 1, 0]);
    expect(() => pinned.release()).toThrow(RangeError);
    expect(() => pinned.retain()).toThrow(RangeError);
    expect(kit.lab.lives.map(({ closed }) => closed)).toEqual([1, 1, 0]);
  });

  test("an instance that several snapshots use is closed with the last of them", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"], b: ["1"] });
    const first = kit.store.current!;
    first.retain();
    await applyTags(kit, { a: ["1"], b: ["2"] });
    const second = kit.store.current!;
    second.retain();
    await applyTags(kit, {});
    await apply(kit, { f: "routes: []" });
    const [a] = kit.lab.of("a");
    first.release();
    expect(a!.closed).toBe(0);
    second.release();
    expect(a!.closed).toBe(1);
  });

  test("close() waits for what is closing, but not for exchanges or for ever", async () => {
    const kit = await open({ shutdownTimeout: "10ms" });
    await applyTags(kit, { a: ["1"], b: ["2"] });
    kit.store.current!.retain();
    await kit.store.close();
    expect(kit.lab.lives.map(({ closed }) => closed)).toEqual([0, 0]);
    await expect(applyTags(kit, { a: ["1"] })).rejects.toThrow("the engine is stopping");

    const stuck = await open({ shutdownTimeout: "10ms" });
    await applyTags(stuck, { a: ["1"] });
    stuck.lab.lives[0]!.instance.close = () => new Promise(() => {});
    await stuck.store.close();
    expect(stuck.store.current).toBeUndefined();
  });

  test("close() during an apply leaves nothing open", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"] });
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: held, resolve: go } = Promise.withResolvers<void>();
    kit.lab.creating = () => {
      begin();
      return held;
    };
    const refused = applyTags(kit, { a: ["2"] }).catch((error: Error) => error.message);
    await begun;
    const closing = kit.store.close();
    go();
    expect(await refused).toBe("Cannot apply a configuration: the engine is stopping");
    await closing;
    expect(kit.lab.lives.map(({ closed }) => closed)).toEqual([1, 1]);
  });
});

describe("SnapshotStore: overlapping applies", () => {
  test("they are taken one after the other, and of those that wait the newest wins", async () => {
    const kit = await open();
    const { promise: held, resolve: go } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    kit.lab.creating = (_metadata, { value }) => {
      if (value !== "1") return undefined;
      begin();
      return held;
    };
    const first = applyTags(kit, { a: ["1"] });
    await begun;
    const second = applyTags(kit, { a: ["2"] });
    const third = applyTags(kit, { a: ["3"] });
    expect(kit.store.current).toBeUndefined();
    go();
    expect((await first).snapshot).toBe(1);
    expect(await second).toBe(await third);
    expect((await third).snapshot).toBe(2);
    expect(tagsOf(kit, "a")).toEqual(["3"]);
    expect(kit.lab.lives.map(({ params, closed }) => [params.value, closed])).toEqual([
      ["1", 1],
      ["3", 0],
    ]);
  });

  test("hundreds of flips while streams come and go close each instance exactly once", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["0"] });
    for (let flip = 1; flip <= 300; flip++) {
      const pinned = kit.store.current!;
      pinned.retain();
      const applying = applyTags(kit, { a: [String(flip % 2)], b: ["same"] });
      const state = pinned.lookup("a");
      const life = kit.lab.lives.find(
        ({ instance }) => state?.kind === "chain" && state.chain.steps[0]?.policy === instance,
      );
      await applying;
      expect(life!.closed).toBe(0);
      pinned.release();
      // Many flips fit into one turn of the event loop, and not all that they leave is closed in that one.
      await new Promise((resolve) => setImmediate(resolve));
      if (pinned !== kit.store.current) expect(life!.closed).toBe(1);
    }
    await kit.store.close();
    expect(kit.lab.lives.every(({ closed }) => closed === 1)).toBe(true);
    expect(kit.lab.of("b")).toHaveLength(1);
  }, 60_000);
});

describe("SnapshotStore: what it shows", () => {
  const SECRET = "do-not-show-me";
  const TEXT = `
routes:
  - route: b
    policies: []
  - route: a
    metadata: { tier: gold }
    policies:
      - { name: tag, version: v1, parameters: { name: x-a, apiKey: ${SECRET} } }
      - { name: tag, version: v2.0.0, enabled: false, parameters: { apiKey: ${SECRET} } }
`;

  test("dump() lists what each route serves, secrets redacted", async () => {
    const kit = await open();
    await apply(kit, { f: TEXT });
    expect(kit.store.dump()).toEqual([
      {
        route: "a",
        source: "f",
        status: "active",
        responseOrder: "listed",
        metadata: { tier: "gold" },
        policies: [
          {
            name: "tag",
            version: "v1.2.0",
            requestedVersion: "v1",
            enabled: true,
            parameters: { name: "x-a", apiKey: "[redacted]" },
          },
          { name: "tag", version: "v2.0.0", enabled: false, parameters: { apiKey: "[redacted]" } },
        ],
      },
      { route: "b", source: "f", status: "active", responseOrder: "listed", metadata: {}, policies: [] },
    ]);
  });

  test("one line for an apply with its counts, one at error level for each problem, and no secret", async () => {
    const kit = await open();
    await apply(kit, { f: TEXT });
    const spoilt = TEXT.replace("name: x-a", "name: nonsense").replace("policies: []", "policies: [{}]");
    await apply(kit, { f: `${spoilt}  - { route: c, policies: [] }\n` });
    await apply(kit, { f: `${TEXT}  - { route: "c, apiKey: ${SECRET} }` });
    const lines = kit.lines.map((line) => JSON.parse(line));
    const messages = lines.map(({ level, message }) => `${level} ${message}`);
    expect(messages[0]).toBe("info Applied configuration");
    expect(messages.filter((message) => message.startsWith("error f:"))).toHaveLength(
      lines.filter(({ level }) => level === "error").length - 1,
    );
    expect(messages).toContain("warn Applied configuration except for routes with problems");
    expect(messages).toContain('error f:8:55: "name" must match the pattern ^x-[a-z0-9-]+$');
    expect(messages.at(-1)).toBe("error Rejected configuration: the last good one stays");
    expect(kit.lines.join("")).not.toContain(SECRET);
    expect(JSON.stringify([kit.store.status(), kit.store.dump()])).not.toContain(SECRET);
  });

  test("counts reloads by result", async () => {
    const kit = await open();
    await applyTags(kit, { a: ["1"] });
    await applyTags(kit, { a: ["1"] });
    await apply(kit, { f: "" });
    for (const result of ["applied", "unchanged", "rejected"] as const) {
      expect(kit.metrics.configReloads(result).value).toBe(1);
    }
  });
});

describe("SnapshotStore: size", () => {
  test("1,000 routes of 10 policies, then a change of one", async () => {
    const kit = await open();
    const tags = Array.from({ length: 10 }, (_, index) => String(index));
    const routes: Record<string, readonly string[]> = {};
    for (let index = 0; index < 1_000; index++) routes[`route-${index}`] = tags;
    expect(await applyTags(kit, routes)).toMatchObject({ result: "applied", routes: { active: 1_000 } });
    expect(kit.lab.lives).toHaveLength(10_000);
    routes["route-500"] = [...tags.slice(0, 9), "other"];
    expect(await applyTags(kit, routes)).toMatchObject({ result: "applied", routes: { changed: 1 } });
    expect(kit.lab.lives).toHaveLength(10_001);
    expect(kit.lab.lives.filter(({ closed }) => closed > 0)).toHaveLength(1);
  }, 60_000);
});
