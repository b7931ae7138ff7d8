import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Problem } from "../document/problem.ts";
import { createStore, PolicyLab, routesText, temporaryFolder } from "./config-fixtures.ts";
import { handlingOf } from "./plan-policies.ts";
import { type RoutesReport, validateRoutes } from "./validate-routes.ts";

async function validate(text: string, lab?: PolicyLab): Promise<RoutesReport> {
  const kit = createStore(lab ?? (await PolicyLab.open()), { policiesPerRoute: 3 });
  const path = join(temporaryFolder(), "routes.yaml");
  writeFileSync(path, text);
  const report = await validateRoutes(path, { registry: kit.lab.registry, config: kit.config });
  expect(kit.lab.lives).toEqual([]);
  return report;
}

/** The only problem of a route with one policy. */
async function problemOf(reference: string): Promise<Problem> {
  const report = await validate(`routes:\n  - route: a\n    policies:\n      - ${reference}\n`);
  expect(report.valid).toBe(false);
  expect(report.problems).toHaveLength(1);
  return report.problems[0]!;
}

describe("FR-011: validateRoutes()", () => {
  test("US8.5: a valid file is valid, and no policy is created", async () => {
    const report = await validate(routesText({ a: ["1"], b: [] }));
    expect(report).toMatchObject({ valid: true, problems: [] });
    expect(report.routes.map(({ route }) => route)).toEqual(["a", "b"]);
  });

  test("US3.3: a version that was removed from the executable is named, with those that are there", async () => {
    const lab = await PolicyLab.open((key) => key !== "tag v1.0.0");
    const report = await validate("routes: [{ route: a, policies: [{ name: tag, version: v1.0.0 }] }]", lab);
    expect(report.problems).toMatchObject([
      {
        line: 1,
        column: 55,
        pointer: "/routes/0/policies/0/version",
        message: 'Cannot find policy "tag" v1.0.0: that version is not in this executable',
        hint: "Versions in this executable: v1.2.0, v2.0.0",
      },
    ]);
  });

  test("US8.1: jwksUrl must be HTTPS", async () => {
    const reference = '{ name: jwt-validation, version: v1, parameters: { jwksUrl: "http://a", issuer: a } }';
    expect(await problemOf(reference)).toMatchObject({
      line: 4,
      column: 69,
      pointer: "/routes/0/policies/0/parameters/jwksUrl",
      message: "jwksUrl must be HTTPS",
    });
  });

  test("US8.2: a negative rate is out of range", async () => {
    const reference = "{ name: rate-limit, version: v1, parameters: { requestsPerSecond: -1 } }";
    expect(await problemOf(reference)).toMatchObject({
      pointer: "/routes/0/policies/0/parameters/requestsPerSecond",
      message: '"requestsPerSecond" must be at least 1',
    });
  });

  test("US8.3: a value that does not match its pattern", async () => {
    const problem = await problemOf("{ name: tag, version: v1, parameters: { name: Tag } }");
    expect(problem.message).toBe('"name" must match the pattern ^x-[a-z0-9-]+$');
  });

  test("US8.4: missing required parameters are listed", async () => {
    const problem = await problemOf("{ name: jwt-validation, version: v1 }");
    expect(problem.message).toBe('Missing required fields "jwksUrl", "issuer"');
    expect(problem.pointer).toBe("/routes/0/policies/0/parameters");
  });

  test.each(["0ms", "0.999ms", "3600001ms", "2h"])(
    "edge: Policy execution timeout: %s is out of range",
    async (timeout) => {
      expect(await problemOf(`{ name: tag, version: v1, timeout: ${timeout} }`)).toMatchObject({
        pointer: "/routes/0/policies/0/timeout",
        message: '"timeout" must be from 1ms to 1h',
      });
    },
  );

  test("FR-053: failure mode and timeout of a policy are the route's, or the definition's", async () => {
    const report = await validate(`
routes:
  - route: a
    policies:
      - { name: tag, version: v1, failureMode: open, timeout: 1ms }
      - { name: fail-open, version: v1, failureMode: closed, timeout: 1h }
      - { name: fail-open, version: v1 }
`);
    expect(report.valid).toBe(true);
    expect(report.routes[0]!.plan!.policies.map(handlingOf)).toMatchObject([
      { failureMode: "open", timeoutMs: 1 },
      { failureMode: "closed", timeoutMs: 3_600_000 },
      { failureMode: undefined, timeoutMs: undefined },
    ]);
  });

  test("FR-015: what is wrong with a condition is told at its place", async () => {
    const problem = await problemOf("{ name: tag, version: v1, executionCondition: request.paht == '/' }");
    expect(problem.pointer).toBe("/routes/0/policies/0/executionCondition");
    expect(problem.message).toContain("paht");
    const notBool = await problemOf("{ name: tag, version: v1, executionCondition: request.path }");
    expect(notBool.message).toContain("a bool is needed");
  });

  test.each(["deny", "skip"])(
    "policies that need bodies are valid, with onUnbufferable: %s",
    async (choice) => {
      const report = await validate(`
routes:
  - route: a
    limits: { bodyBytes: 64KiB }
    policies:
      - { name: read-body, version: v1, onUnbufferable: ${choice} }
      - { name: write-body, version: v1 }
`);
      expect(report.problems).toEqual([]);
      const { resource } = report.routes[0]!.plan!;
      expect(resource.limits).toEqual({ bodyBytes: 65_536 });
      expect(resource.policies.map(({ onUnbufferable }) => onUnbufferable)).toEqual([
        choice as never,
        undefined,
      ]);
    },
  );

  test.each([
    ["20MiB", '"limits.bodyBytes" must be from 1KiB to 10MiB'],
    ["999999999999GiB", '"limits.bodyBytes" must be from 1KiB to 10MiB'],
    ["1023", '"limits.bodyBytes" must be from 1KiB to 10MiB'],
    ["1MB", 'Must be a size such as "64KiB" or "1MiB"'],
    ["-1", 'Must be a size such as "64KiB" or "1MiB"'],
    ["1.5", 'Must be a size such as "64KiB" or "1MiB"'],
  ])("edge: a route can only lower limits.bodyBytes: not %s", async (bodyBytes, message) => {
    const { problems } = await validate(
      `routes: [{ route: a, limits: { bodyBytes: ${bodyBytes} }, policies: [] }]`,
    );
    expect(problems).toMatchObject([{ pointer: "/routes/0/limits/bodyBytes", message }]);
  });

  test("edge: other limits are not a route's", async () => {
    const { problems } = await validate("routes: [{ route: a, limits: { bodyMemory: 1MiB }, policies: [] }]");
    expect(problems).toMatchObject([{ pointer: "/routes/0/limits/bodyMemory" }]);
  });

  test("what the policy's own validate says stands at its parameters, without secrets", async () => {
    const report = await validate(`
routes:
  - route: a
    policies:
      - { name: choosy, version: v1, parameters: { even: 3, token: hide-this-token } }
      - { name: choosy, version: v1, parameters: { even: 13, token: hide-this-token } }
`);
    expect(report.problems.map(({ line, message }) => [line, message])).toEqual([
      [5, "Must be even, with [redacted]"],
      [5, "Must be nice"],
      [6, "Cannot check parameters: the policy's validate failed: Error: unlucky [redacted]"],
    ]);
  });

  test("FR-012: an entry that is null, in any layout, is one problem among the others", async () => {
    for (const text of [
      "routes:\n  - \n  - route: a\n",
      "routes: [null, { route: a }]",
      "routes: [~, {route: a}]",
    ]) {
      const { problems } = await validate(text);
      expect(problems.map(({ pointer, message }) => [pointer, message])).toEqual([
        ["/routes/0", "The value must be a map, not null"],
        ["/routes/1", 'Missing required field "policies"'],
      ]);
    }
  });

  test("FR-012: a key with a wrong value hides nothing of what else is wrong with its policy", async () => {
    const reference =
      '{ name: rate-limit, version: v1, enabled: "no", timeout: 5, parameters: { requestsPerSecond: -1 } }';
    const { problems } = await validate(`routes: [{ route: a, policies: [${reference}] }]`);
    expect(problems.map(({ pointer }) => pointer)).toEqual([
      "/routes/0/policies/0/enabled",
      "/routes/0/policies/0/timeout",
      "/routes/0/policies/0/parameters/requestsPerSecond",
    ]);
    const unknown = await validate(
      "routes: [{ route: a, policies: [{ name: tga, version: v1, failureMode: ajar }] }]",
    );
    expect(unknown.problems.map(({ pointer }) => pointer)).toEqual([
      "/routes/0/policies/0/name",
      "/routes/0/policies/0/failureMode",
    ]);
  });

  test("more policies than limits.policiesPerRoute are an error of the route", async () => {
    const report = await validate(routesText({ a: ["1", "2", "3", "4"], b: ["1"] }));
    expect(report.problems.map(({ pointer, message }) => [pointer, message])).toEqual([
      ["/routes/0/policies", "Cannot use 4 policies on one route: at most 3 are allowed"],
    ]);
  });

  test("a path that cannot be read is one problem", async () => {
    const kit = createStore(await PolicyLab.open());
    const path = join(temporaryFolder(), "missing.yaml");
    const report = await validateRoutes(path, { registry: kit.lab.registry, config: kit.config });
    expect(report).toMatchObject({ valid: false, routes: [] });
    expect(report.problems.map(({ message }) => message)).toEqual([
      `Cannot read routes from ${JSON.stringify(path)}: it does not exist`,
    ]);
  });
});
