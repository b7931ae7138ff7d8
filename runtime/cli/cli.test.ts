import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RegistryEntry } from "../policy/registry.ts";
import { runCli } from "./cli.ts";
import { wantsColours } from "./cli-context.ts";
import { BUILD, entryOf, policies } from "./fixtures/policies.ts";

let folder: string;
let config: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cli-"));
  config = await write("policy-engine.yaml", "routes: { path: routes.yaml }\n");
  await write(
    "routes.yaml",
    `routes:
  - route: orders
    responseOrder: reversed
    policies:
      - { name: tag, version: v1, parameters: { value: a, key: topsecret } }
      - { name: stuck, version: v1.0.0 }
      - { name: tag, version: v1.0.0, parameters: { value: b } }
      - { name: tag, version: v1, enabled: false, parameters: { value: c } }
  - route: open
    policies: []
`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await Bun.write(path, text);
  return path;
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface RunOptions {
  readonly colours?: boolean;
  readonly registry?: readonly RegistryEntry[];
}

async function run(
  args: readonly string[],
  { colours = false, registry = policies }: RunOptions = {},
): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    colours,
  };
  const code = await runCli(args, { policies: registry, build: BUILD, io });
  return { code, out: out.join(""), err: err.join("") };
}

describe("usage", () => {
  test.each(["serve", "validate", "explain", "policies", "envoy-config", "version"])(
    "%s has help",
    async (command) => {
      for (const args of [
        [command, "--help"],
        ["help", command],
      ]) {
        const { code, out } = await run(args);
        expect(out).toStartWith(`Usage: policy-engine ${command} [options]`);
        expect(code).toBe(0);
      }
      expect((await run(["--help"])).out).toContain(`  ${command} `);
    },
  );

  test.each([
    [[], "required option '-c, --config <file>' not specified"],
    [["servee"], 'unknown command "servee"'],
    [["-c", "x", "--bogus"], "unknown option '--bogus'"],
    [["validate"], "required option '-c, --config <file>' not specified"],
    [["validate", "-c", "x", "y"], "too many arguments"],
    [["explain", "-c", "x"], "required option '-r, --route <name>' not specified"],
    [["envoy-config", "-c", "x", "--base", "odd"], "Allowed choices are wide, narrow"],
  ])("%p is wrong usage: exit code 2", async (args, message) => {
    const { code, out, err } = await run(args);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(message);
  });

  test("colours are for terminals, and NO_COLOR forbids them", async () => {
    expect(wantsColours(true, {})).toBe(true);
    expect(wantsColours(true, { NO_COLOR: "" })).toBe(true);
    expect(wantsColours(true, { NO_COLOR: "1" })).toBe(false);
    expect(wantsColours(true, { TERM: "dumb" })).toBe(false);
    expect(wantsColours(false, {})).toBe(false);
    expect((await run(["validate", "-c", config], { colours: true })).out).toContain(
      "\u001b[32mValid\u001b[0m",
    );
    expect((await run(["validate", "-c", config])).out).not.toContain("\u001b");
  });
});

describe("version", () => {
  test("--version is one line", async () => {
    expect(await run(["--version"])).toEqual({ code: 0, out: "policy-engine 1.2.3\n", err: "" });
  });

  test("--json has the build's facts", async () => {
    const { code, out } = await run(["version", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ...BUILD, policies: 4, runtime: { bun: Bun.version } });
    expect((await run(["version"])).out).toContain("commit    0123abc");
  });
});

describe("policies", () => {
  test("lists every policy, a broken one with its reason", async () => {
    const { code, out, err } = await run(["policies", "--json"]);
    expect([code, err]).toEqual([0, ""]);
    const { policies: listed } = JSON.parse(out);
    expect(listed.map((policy: { name: string }) => policy.name)).toEqual([
      "broken",
      "stray",
      "stuck",
      "tag",
    ]);
    expect(listed[0].error).toContain("cannot be imported");
    expect(listed[3]).toMatchObject({ version: "v1.0.0", description: "The tag policy" });
  });

  test("as a table", async () => {
    const { out } = await run(["policies"]);
    expect(out).toContain("tag     v1.0.0  The tag policy");
    expect(out).toMatch(/^broken {2}v1\.0\.0 {2}broken: .*cannot be imported/m);
  });

  test("edge: a description stays on its line and does not drive the terminal", async () => {
    const entry = entryOf("loud", () => ({}));
    const definition = 'name: loud\nversion: v1.0.0\ndescription: "one\\n\\u001b[2J\\u009btwo"\n';
    const { out } = await run(["policies"], { registry: [{ ...entry, definition }] });
    expect(out).toBe("loud  v1.0.0  one [2J two  (request, response)\n");
  });

  test("edge: none", async () => {
    const { code, out } = await run(["policies", "--json"], { registry: [] });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ policies: [] });
    expect((await run(["policies"], { registry: [] })).out).toBe(
      "No policies were compiled into this executable\n",
    );
  });
});

describe("validate", () => {
  test("a valid configuration: exit code 0", async () => {
    expect(await run(["validate", "--config", config])).toEqual({
      code: 0,
      out: "Valid: 2 routes\n",
      err: "",
    });
    const { out } = await run(["validate", "--config", config, "--json"]);
    expect(JSON.parse(out)).toEqual({ valid: true, problems: [] });
  });

  test("every problem at once, with place, pointer and hint: exit code 1", async () => {
    await write(
      "bad-routes.yaml",
      `routes:
  - route: a
    policies:
      - { name: tagg, version: v1 }
      - { name: tag, version: v9, parameters: { value: a } }
  - route: b
    policies:
      - { name: tag, version: v1, parameters: { valu: a, key: topsecret } }
`,
    );
    const path = await write("bad.yaml", "routes: { path: bad-routes.yaml }\n");
    const { code, out } = await run(["validate", "--config", path]);
    expect(code).toBe(1);
    const routes = join(folder, "bad-routes.yaml");
    expect(out).toContain(
      `${routes}:4:17: error: Cannot find policy "tagg": it is not in this executable (/routes/0/policies/0/name)\n  hint: Did you mean "tag"?\n`,
    );
    expect(out).toContain(`${routes}:5:`);
    expect(out).toContain('Unknown key "valu" (/routes/1/policies/0/parameters/valu)');
    expect(out).toEndWith("Not valid: 4 errors\n");
    expect(out).not.toContain("topsecret");
    const json = JSON.parse((await run(["validate", "--config", path, "--json"])).out);
    expect(json.valid).toBe(false);
    expect(json.problems).toHaveLength(4);
    expect(json.problems[0]).toMatchObject({ severity: "error", file: routes, line: 4, column: 17 });
  });

  test("problems of the engine's configuration", async () => {
    const path = await write("odd.yaml", "routes: { path: routes.yaml }\nhelth: {}\n");
    const { code, out } = await run(["validate", "--config", path]);
    expect(code).toBe(1);
    expect(out).toContain(`${path}:2:1: error: Unknown key "helth"`);
  });

  describe("warnings", () => {
    const never =
      "routes: [{ route: a, policies: [{ name: tag, version: v1, parameters: { value: a }, executionCondition: 'false' }] }]\n";
    const prepare = async (): Promise<string> => {
      await write("never.yaml", never);
      return write("warned.yaml", "routes: { path: never.yaml }\nlimits: { bodyWait: 301s }\n");
    };

    test("are told with their code and leave the configuration valid: exit code 0", async () => {
      const { code, out } = await run(["validate", "--config", await prepare()]);
      expect(code).toBe(0);
      expect(out).toContain("warned.yaml:2:21: warning: ");
      expect(out).toContain("(/limits/bodyWait) [body-wait-above-idle-timeout]\n  hint: ");
      expect(out).toContain("(/routes/0/policies/0/executionCondition) [step-never-runs]\n  hint: ");
      expect(out).toEndWith("Valid: 1 route, 2 warnings\n");
    });

    test("are problems with --strict, also in JSON: exit code 1", async () => {
      const path = await prepare();
      const { code, out } = await run(["validate", "--config", path, "--strict", "--json"]);
      expect(code).toBe(1);
      const { valid, problems } = JSON.parse(out);
      expect(valid).toBe(true);
      expect(problems).toMatchObject([
        { severity: "warning", code: "body-wait-above-idle-timeout", line: 2, column: 21 },
        { severity: "warning", code: "step-never-runs", line: 1 },
      ]);
      expect((await run(["validate", "--config", config, "--strict"])).code).toBe(0);
    });

    test("of Envoy's configuration, which the engine's own is not; its idle timeout counts", async () => {
      const path = await prepare();
      const { out: envoy } = await run(["envoy-config", "--config", path]);
      const limits = (await run(["validate", "--config", path, "--envoy", await write("envoy.yaml", envoy)]))
        .out;
      expect(limits.match(/\[[a-z-]+\]/g)).toEqual(["[step-never-runs]", "[body-wait-above-idle-timeout]"]);
      expect(limits).toContain("/envoy.yaml:");
      const patient = envoy.replace(
        "stat_prefix: ingress",
        "stat_prefix: ingress\n                stream_idle_timeout: 400s",
      );
      const allowed = envoy.replace("failure_mode_allow: false", "failure_mode_allow: true");
      const calm = await run(["validate", "--config", path, "--envoy", await write("envoy.yaml", patient)]);
      expect(calm.out.match(/\[[a-z-]+\]/g)).toEqual(["[step-never-runs]"]);
      const open = await run(["validate", "--config", path, "--envoy", await write("envoy.yaml", allowed)]);
      expect(open.out).toContain("[envoy-failure-mode-allow]");
      expect(open.code).toBe(0);
    });

    test("Envoy's configuration that cannot be read is an error", async () => {
      for (const [text, message] of [
        [undefined, "Cannot read Envoy's configuration"],
        ["a: [", "error: "],
        ["a: &x { b: 1 }\nc: { <<: *x }\n", "error: "],
      ] as const) {
        const file = text === undefined ? join(folder, "none.yaml") : await write("envoy-odd.yaml", text);
        const { code, out } = await run(["validate", "--config", config, "--envoy", file]);
        expect(out).toContain(message);
        expect(code).toBe(1);
      }
    });
  });

  test("edge: a file that is not there", async () => {
    const { code, out } = await run(["validate", "--config", join(folder, "none.yaml"), "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(out).problems[0].message).toContain("it does not exist");
  });
});

describe("explain", () => {
  test("a line for each step with its phases, then what Envoy is asked for", async () => {
    const { code, out } = await run(["explain", "--config", config, "--route", "orders"]);
    expect(code).toBe(0);
    expect(out).toBe(`Route "orders": its policies decide
  1. tag v1.0.0: runs on request headers (1st), response headers (2nd)
  2. stuck v1.0.0: runs on request headers (2nd)
  3. tag v1.0.0: runs on request headers (3rd), response headers (1st)
  4. tag v1.0.0: skipped, "enabled" is false
Response order: reversed
The answer to request headers asks Envoy for:
  request headers   SEND
  request body      NONE
  request trailers  SKIP
  response headers  SEND
  response body     NONE
  response trailers SKIP
`);
  });

  test("as JSON", async () => {
    const { out } = await run(["explain", "--config", config, "--route", "orders", "--json"]);
    const plan = JSON.parse(out);
    expect(plan).toMatchObject({ route: "orders", state: "chain", responseOrder: "reversed", problems: [] });
    expect(plan.steps[1]).toEqual({
      place: 2,
      name: "stuck",
      version: "v1.0.0",
      enabled: true,
      request: 2,
      response: null,
      appliesToDenials: false,
      condition: null,
      conditionReads: { request: false, response: false },
      requestBody: "none",
      responseBody: "none",
      onUnbufferable: "deny",
      failureMode: "closed",
      timeoutMs: null,
    });
    expect(plan.buffering).toEqual({ request: null, response: null, bodyBytes: 10_485_760 });
    expect(out).not.toContain("topsecret");
  });

  describe("with bodies", () => {
    const both = { onRequest: () => undefined, onResponse: () => undefined };
    const registry = [
      entryOf("plain", () => both),
      entryOf("also-plain", () => both),
      entryOf("reads", () => both, "requiresRequestBody: buffered\nrequiresResponseBody: buffered\n"),
      entryOf("raw", () => ({ onRequest: both.onRequest }), "requiresRequestBody: raw\n"),
    ];
    const args = async (): Promise<string[]> => {
      await write(
        "body-routes.yaml",
        `routes:
  - route: a
    responseOrder: reversed
    limits: { bodyBytes: 64KiB }
    policies:
      - { name: plain, version: v1 }
      - { name: reads, version: v1 }
      - { name: raw, version: v1, onUnbufferable: skip }
      - { name: also-plain, version: v1 }
`,
      );
      const path = await write("bodies.yaml", "routes: { path: body-routes.yaml }\n");
      return ["explain", "--config", path, "--route", "a"];
    };

    test("FR-025: which step makes Envoy buffer, what waits for it, and what both answers ask for", async () => {
      const { code, out } = await run(await args(), { registry });
      expect(code).toBe(0);
      expect(out).toBe(`Route "a": its policies decide
  1. plain v1.0.0: runs on request headers (1st), response headers (3rd, after the body)
  2. reads v1.0.0: runs on request headers and body (2nd), response headers and body (2nd); 501 or 502 where the body cannot be buffered
  3. raw v1.0.0: runs on request headers and body as it came (3rd, after the body); left out where the body cannot be buffered
  4. also-plain v1.0.0: runs on request headers (4th, after the body), response headers (1st)
Response order: reversed
Envoy is made to buffer, at most 64KiB of each:
  the body of a request, where one follows its headers: read by step 2, step 3; step 2 is the first to stop for it
  the body of a response, where one follows its headers: read by step 2
The answer to the headers of a request with a body asks Envoy for:
  request headers   SEND
  request body      BUFFERED
  request trailers  SEND
  response headers  SEND
  response body     NONE
  response trailers SKIP
The answer to the headers of a response with a body asks Envoy for:
  request headers   SEND
  request body      NONE
  request trailers  SKIP
  response headers  SEND
  response body     BUFFERED
  response trailers SEND
`);
    });

    test("as JSON", async () => {
      const { out } = await run([...(await args()), "--json"], { registry });
      const { buffering, firstAnswer, steps } = JSON.parse(out);
      expect(buffering).toMatchObject({
        request: { step: 2, readBy: [2, 3], when: "body follows", answer: firstAnswer },
        response: { step: 2, readBy: [2], when: "body follows", answer: { responseBody: "BUFFERED" } },
        bodyBytes: 65_536,
      });
      expect(firstAnswer).toMatchObject({ requestBody: "BUFFERED", requestTrailers: "SEND" });
      expect(steps[2]).toMatchObject({ requestBody: "raw", responseBody: "none", onUnbufferable: "skip" });
    });
  });

  test("FR-015: under which condition a step runs, and a body is buffered", async () => {
    const both = { onRequest: () => undefined, onResponse: () => undefined };
    const registry = [
      entryOf("plain", () => both),
      entryOf("reads", () => both, "requiresRequestBody: buffered\n"),
    ];
    await write(
      "condition-routes.yaml",
      `routes:
  - route: a
    policies:
      - { name: reads, version: v1, executionCondition: request.method == "POST" }
      - { name: plain, version: v1, executionCondition: response.status >= 500 }
  - route: b
    policies:
      - { name: plain, version: v1, executionCondition: 'request.body.contains("x")' }
`,
    );
    const path = await write("conditions.yaml", "routes: { path: condition-routes.yaml }\n");
    const first = await run(["explain", "--config", path, "--route", "a"], { registry });
    expect(first.out).toContain(
      '1. reads v1.0.0: runs on request headers and body (1st), response headers (1st), if request.method == "POST"; 501',
    );
    expect(first.out).toContain(
      "2. plain v1.0.0: runs on response headers (2nd), if response.status >= 500\n",
    );
    expect(first.out).toContain(
      "where one follows its headers and a condition of these is true: read by step 1\n",
    );
    const second = await run(["explain", "--config", path, "--route", "b", "--json"], { registry });
    const { buffering, steps } = JSON.parse(second.out);
    expect(buffering.request).toMatchObject({ step: 1, when: "body follows" });
    expect(steps[0]).toMatchObject({ condition: 'request.body.contains("x")', requestBody: "buffered" });
  });

  test("a route without policies passes", async () => {
    const { code, out } = await run(["explain", "--config", config, "--route", "open"]);
    expect([code, out]).toEqual([0, 'Route "open": requests pass unchanged, no policy is enabled\n']);
  });

  test("an unknown route: what would happen, and exit code 1", async () => {
    const { code, out } = await run(["explain", "--config", config, "--route", "nope"]);
    expect(code).toBe(1);
    expect(out).toContain("not configured; requests pass unchanged (onUnknownRoute: allow)");
    const deny = await write("deny.yaml", "routes: { path: routes.yaml }\nonUnknownRoute: deny\n");
    expect((await run(["explain", "-c", deny, "-r", "nope"])).out).toContain("answered with 503");
  });

  test("FR-053: how a step fails, and how long it may take", async () => {
    const registry = [
      entryOf("open", () => ({ onRequest: () => undefined }), "failureMode: open\n"),
      entryOf("closed", () => ({ onRequest: () => undefined })),
    ];
    await write(
      "failing-routes.yaml",
      `routes:
  - route: a
    policies:
      - { name: open, version: v1, timeout: 1500ms }
      - { name: closed, version: v1, failureMode: open }
      - { name: open, version: v1, failureMode: closed, timeout: 0.5s }
`,
    );
    const path = await write("failing.yaml", "routes: { path: failing-routes.yaml }\n");
    const { out } = await run(["explain", "-c", path, "-r", "a"], { registry });
    expect(out).toContain("(1st); at most 1500ms if asynchronous; left out where it fails\n");
    expect(out).toContain("(2nd); left out where it fails\n");
    expect(out).toContain("(3rd); at most 500ms if asynchronous\n");
    const { steps } = JSON.parse((await run(["explain", "-c", path, "-r", "a", "--json"], { registry })).out);
    expect(steps).toMatchObject([
      { failureMode: "open", timeoutMs: 1500 },
      { failureMode: "open", timeoutMs: null },
      { failureMode: "closed", timeoutMs: 500 },
    ]);
  });

  test("a route with errors shows its own only", async () => {
    await write(
      "mixed-routes.yaml",
      `routes:
  - route: a
    policies: [{ name: nothing, version: v1 }]
  - route: b
    policies: [{ name: tag, version: v1, timeout: 2h, parameters: { value: a } }]
`,
    );
    const path = await write("mixed.yaml", "routes: { path: mixed-routes.yaml }\n");
    const { code, out } = await run(["explain", "-c", path, "-r", "b"]);
    expect(code).toBe(1);
    expect(out).toContain('"timeout" must be from 1ms to 1h');
    expect(out).not.toContain("nothing");
  });
});

describe("envoy-config", () => {
  test("takes address, timeout and routes from the configuration", async () => {
    const path = await write(
      "envoy.yaml",
      'extProc: { address: "0.0.0.0:7001", messageTimeout: 250ms }\nroutes: { path: routes.yaml }\n',
    );
    const { code, out } = await run(["envoy-config", "--config", path, "--upstream", "127.0.0.1:7002"]);
    expect(code).toBe(0);
    const text = JSON.stringify(Bun.YAML.parse(out));
    expect(text).toContain('{"address":"127.0.0.1","port_value":7001}');
    expect(text).toContain('{"address":"127.0.0.1","port_value":7002}');
    expect(text).toContain('"message_timeout":"0.25s"');
    expect(text).toContain('{"name":"orders","match":{"path_separated_prefix":"/orders"}');
    expect(text).toContain('"name":"open"');
  });

  test("routes named on the command line take the place of the file's", async () => {
    const { out } = await run(["envoy-config", "-c", config, "--route", "x", "--route", "y"]);
    expect(out).toContain("name: x");
    expect(out).toContain("name: y");
    expect(out).not.toContain("name: orders");
  });

  test("a wrong address is wrong usage, a wrong file a problem", async () => {
    const { code, err } = await run(["envoy-config", "-c", config, "--listen", "everywhere"]);
    expect(code).toBe(2);
    expect(err).toContain('Cannot use address "everywhere"');
    const lost = await write("lost.yaml", "routes: { path: lost-routes.yaml }\n");
    const failed = await run(["envoy-config", "-c", lost]);
    expect([failed.code, failed.out]).toEqual([1, ""]);
    expect(failed.err).toContain("it does not exist");
  });
});
