import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import { Child } from "../helpers/child.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

/** As people choose them: with what JSON, YAML and regular expressions escape. */
const SECRETS = {
  plain: 'plain-"quoted"\\back-S3CR3T',
  list: "list $& (.*) [x] S3CR3T",
  map: "mäp\tS3CR3T",
  union: "union-S3CR3T",
  file: "from-file-S3CR3T",
};
/** In each of them, unescaped whatever the format is. */
const MARK = "S3CR3T";
const HOWS = ["log", "throw", "reject", "create", "close", "end", "stray", "late"];

const leaky = (how: string) => ({
  name: "leaky",
  ...(how === "late" && { timeout: "50ms" }),
  parameters: {
    how,
    plain: SECRETS.plain,
    nested: {
      list: [
        { id: "one", key: SECRETS.list },
        { id: "two", key: { fromFile: "secret" } },
      ],
      map: { any: SECRETS.map },
      union: { password: SECRETS.union },
    },
  },
});
const routes = HOWS.map((how) => ({ route: how, policies: [leaky(how)] }));

let stack: Stack;
/** Everything that the engine let out on other ways than its log. */
const told: string[] = [];

beforeAll(async () => {
  // The file that the routes name is there before they are read.
  stack = await startStack({
    routes: [],
    config: { log: { level: "debug", format: "json", sampleRate: 1 }, denials: { format: "problem" } },
    envoyRoutes: HOWS,
  });
  await Bun.write(join(stack.engine.folder, "secret"), `${SECRETS.file}\n`);
  await stack.engine.writeRoutes(routes);
  await waitFor("routes", async () => (await stack.get("/log")).status === 200 && hasLogged("level debug"), {
    detail: () => stack.engine.output(),
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

function hasLogged(text: string): boolean {
  return stack.engine.logs().some(({ message }) => message.startsWith(text));
}

function expectNoSecret(text: string): void {
  expect(text.split("\n").filter((line) => line.includes(MARK))).toEqual([]);
}

test.each(HOWS)(
  "FR-014: edge: a policy that tells its secrets (%s) does not tell them to clients",
  async (how) => {
    const response = await stack.get(`/${how}`);
    const statuses: Record<string, number> = { throw: 500, reject: 500, create: 503, late: 500 };
    expect(response.status).toBe(statuses[how] ?? 200);
    told.push(response.text(), ...response.headers.flat());
    expectNoSecret(response.text());
  },
);

test("FR-014: edge: what the admin and health ports show has no secret", async () => {
  for (const path of ["/config", "/status", "/policies", "/log-level"]) {
    const text = await (await stack.engine.getAdmin(path)).text();
    if (path === "/config") expect(text).toContain("[redacted]");
    expectNoSecret(text);
  }
  expectNoSecret(await (await stack.engine.get("/metrics")).text());
});

test("FR-014: edge: what validate and explain print has no secret, also where parameters are wrong", async () => {
  const config = join(stack.engine.folder, "policy-engine.yaml");
  const run = async (...args: string[]): Promise<string> => {
    const child = new Child([await testEngine(), ...args, "--config", config], { cwd: stack.engine.folder });
    await child.exited;
    return child.output();
  };
  for (const how of ["log", "create"]) expectNoSecret(await run("explain", "--route", how));
  expectNoSecret(await run("validate", "--json"));
  const wrong = routes.map(({ route, policies: [policy] }) => ({
    route,
    policies: [{ ...policy!, parameters: { ...policy!.parameters, keys: SECRETS.plain } }],
  }));
  const before = stack.engine.logs().length;
  await stack.engine.writeRoutes(wrong);
  await stack.engine.waitForLog("/routes/0/policies/0/parameters/keys", before);
  const report = await run("validate", "--json");
  expect(JSON.parse(report).valid).toBe(false);
  // An unknown key may be a mistyped one.
  expectNoSecret(report);
});

test("FR-014: no secret is in the log, at debug, whatever a policy does", async () => {
  await stack.engine.writeRoutes([]);
  await waitFor("closed policies", () => hasLogged("Cannot close policy"));
  expect(await stack.engine.stop()).toBe(0);
  const lines = stack.engine.logs();
  // Each way out was taken.
  for (const message of [
    ...["level debug: ", "level info: ", "level warn: ", "level error: "],
    ...["Policy failed in onRequest", "Policy failed in onEnd", "Rejection that nothing waited for"],
    ...["Policy failed after its time was over", "Cannot close policy", "closing", "Exchange ended"],
  ]) {
    expect(lines.map((line) => line.message)).toContainEqual(expect.stringContaining(message));
  }
  expect(stack.engine.output()).toContain("getPolicy failed");
  expect(stack.engine.output()).toContain("[redacted]");
  expectNoSecret(stack.engine.output());
  expectNoSecret(told.join("\n"));
});
