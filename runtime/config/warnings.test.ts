import { describe, expect, test } from "bun:test";
import type { ApplyReport } from "./apply-report.ts";
import { createStore, PolicyLab, type StoreKit } from "./config-fixtures.ts";
import { RouteParser } from "./route-source.ts";

const DANGEROUS = `
  - route: dangerous
    policies:
      - { name: sign-in, version: v1, executionCondition: 'request.headers.a == ""' }
`;

/** An engine that reads one route file again and again. */
class Reloaded {
  readonly kit: StoreKit;
  readonly #parser: RouteParser;

  constructor(kit: StoreKit) {
    this.kit = kit;
    this.#parser = new RouteParser(kit.limits);
  }

  async read(text: string): Promise<ApplyReport> {
    const source = await this.#parser.parse(text, "routes.yaml");
    return this.kit.store.apply({ sources: [source], problems: [] });
  }

  warnings(): { code: string; message: string }[] {
    return warningsIn(this.kit);
  }
}

async function engine(): Promise<Reloaded> {
  return new Reloaded(createStore(await PolicyLab.open()));
}

function warningsIn({ lines }: StoreKit): { code: string; message: string }[] {
  return lines
    .map((line) => JSON.parse(line) as { level: string; message: string; metadata: { code: string } })
    .filter(({ level }) => level === "warn")
    .map(({ message, metadata }) => ({ code: metadata.code, message }));
}

describe("a running engine", () => {
  test("applies what it warns of, and logs each warning once", async () => {
    const reloaded = await engine();
    const report = await reloaded.read(`routes:${DANGEROUS}`);
    expect(report.result).toBe("applied");
    expect(report.problems.map(({ severity, code }) => [severity, code])).toEqual([
      ["warning", "auth-behind-client-header"],
    ]);
    expect(reloaded.kit.store.current?.lookup("dangerous")?.kind).toBe("chain");
    expect(reloaded.warnings()).toEqual([
      {
        code: "auth-behind-client-header",
        message: expect.stringContaining("routes.yaml:4:59: Clients can"),
      },
    ]);
  });

  test("says nothing anew of a route that did not change, and says it of one that did", async () => {
    const reloaded = await engine();
    await reloaded.read(`routes:${DANGEROUS}`);
    await reloaded.read(`routes:${DANGEROUS}  - { route: other, policies: [] }\n`);
    expect(reloaded.warnings()).toHaveLength(1);
    await reloaded.read(`routes:${DANGEROUS.replace("headers.a", "headers.b")}`);
    expect(reloaded.warnings()).toHaveLength(2);
  });

  test("keeps errors before warnings where there are too many to keep", async () => {
    const steps = Array.from({ length: 99 }, () => "{ name: tag, version: v1, executionCondition: 'false' }");
    const routes = Array.from(
      { length: 11 },
      (_, i) => `  - { route: r${i}, policies: [${steps.join(", ")}] }\n`,
    );
    const broken = "  - { route: broken, policies: [{ name: nothing, version: v1 }] }\n";
    const report = await (await engine()).read(`routes:\n${routes.join("")}${broken}`);
    expect(report.problems).toHaveLength(1_000);
    expect(report.problemCount).toBeGreaterThan(1_000);
    expect(report.problems.filter(({ severity }) => severity === "error")).toHaveLength(1);
  });
});
