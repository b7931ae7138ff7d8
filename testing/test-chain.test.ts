import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type PolicyFactory, type PolicyMetadata, respond } from "@policy-engine/sdk";
import { testChain, testPolicy } from "./index.ts";

const DEFINITION = `
name: greeter
version: v1.2.3
appliesToDenials: true
parameters:
  type: object
  additionalProperties: false
  required: [greeting]
  properties:
    greeting: { type: string, maxLength: 10 }
    to: { type: string, default: world }
    key: { type: string, secret: true }
`;

let folder: string;
let definition: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testing-"));
  definition = join(folder, "policy-definition.yaml");
  await Bun.write(definition, DEFINITION);
  await Bun.write(join(folder, "secret"), "from-a-file\n");
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Params {
  readonly greeting: string;
  readonly to: string;
  readonly key?: string;
}

const greeter: PolicyFactory<Params> = (_metadata, params) => ({
  onRequest: () => ({
    setHeaders: { "x-greeting": `${params.greeting} ${params.to} ${params.key ?? ""}`.trim() },
  }),
  onResponse: (ctx) => ({ setHeaders: { "x-denied": String(ctx.denied) } }),
});

describe("testPolicy() with a definition", () => {
  test("checks parameters and fills in defaults", async () => {
    await using policy = await testPolicy(greeter, { definition, params: { greeting: "hello" } });
    expect((await policy.request()).headers.get("x-greeting")).toBe("hello world");
  });

  test("finds it by file, by folder, and beside another file, as path and as URL", async () => {
    const beside = join(folder, "policy.test.ts");
    const places = [definition, folder, `${folder}/`, beside];
    for (const place of [
      ...places,
      ...places.map((path) => pathToFileURL(path)),
      pathToFileURL(beside).href,
    ]) {
      await using policy = await testPolicy(greeter, { definition: place, params: { greeting: "hello" } });
      expect((await policy.request()).headers.get("x-greeting")).toBe("hello world");
    }
  });

  test("says so when there is none, or one too many", async () => {
    const empty = join(folder, "empty");
    await mkdir(empty);
    await expect(testPolicy(greeter, { definition: empty })).rejects.toThrow("there is none");
    await expect(testPolicy(greeter, { definition: join(empty, "policy.yaml") })).rejects.toThrow(
      "there is none",
    );
    const both = join(folder, "both");
    for (const name of ["policy.yaml", "policy-definition.yaml"])
      await Bun.write(join(both, name), DEFINITION);
    await expect(testPolicy(greeter, { definition: both })).rejects.toThrow("there are both");
  });

  test("takes policy.yaml as the same thing", async () => {
    const older = join(folder, "older", "policy.yaml");
    await Bun.write(older, DEFINITION);
    await using policy = await testPolicy(greeter, {
      definition: join(folder, "older"),
      params: { greeting: "a" },
    });
    expect((await policy.request()).headers.get("x-greeting")).toBe("a world");
  });

  test("reports every problem of the parameters at once, with place and hint", async () => {
    const made = testPolicy(greeter, { definition, params: { greting: "hello", to: 1 } });
    const error = (await made.catch((cause: unknown) => cause)) as Error;
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toContain('policy "greeter" v1.2.3');
    expect(error.message).toContain("greeting");
    expect(error.message).toContain("/to:");
    expect(error.message).toContain("/greting");
    expect(error.message).toMatch(/hint: .*"greeting"/);
  });

  test("reports every problem of the definition at once, with file and line", async () => {
    const broken = join(folder, "broken.yaml");
    await Bun.write(broken, "name: a b\nversion: 1\nparameter: {}\n");
    const error = await testPolicy(greeter, { definition: broken }).catch((cause: unknown) => cause);
    expect(String(error)).toContain(`${broken}:1:`);
    expect(String(error)).toContain(`${broken}:2:`);
    expect(String(error)).toContain(`${broken}:3:`);
  });

  test("refuses a definition that needs what the engine does not have yet", async () => {
    const bodies = join(folder, "bodies.yaml");
    await Bun.write(bodies, "name: bodies\nversion: v1.0.0\nrequiresRequestBody: streamed\n");
    await expect(testPolicy(greeter, { definition: bodies })).rejects.toThrow(
      "requiresRequestBody: streamed",
    );
  });

  test("reads secrets from files beside the definition, and from the environment given", async () => {
    const references = [
      [{ fromFile: "secret" }, "from-a-file"],
      [{ fromEnv: "KEY" }, "from-env"],
      ["plain", "plain"],
    ] as const;
    for (const [key, expected] of references) {
      const params = { greeting: "hello", key };
      await using policy = await testPolicy(greeter, { definition, params, env: { KEY: "from-env" } });
      expect((await policy.request()).headers.get("x-greeting")).toBe(`hello world ${expected}`);
    }
  });

  test("calls validate of a module after the schema", async () => {
    const calls: Params[] = [];
    const module = {
      getPolicy: greeter,
      validate: (params: Params) => {
        calls.push(params);
        return params.to === "nobody" ? ["to is nobody, somebody is needed"] : [];
      },
    };
    await expect(testPolicy(module, { definition, params: { greeting: 1 } })).rejects.toThrow("/greeting");
    expect(calls).toEqual([]);
    const refused = testPolicy(module, { definition, params: { greeting: "hello", to: "nobody" } });
    await expect(refused).rejects.toThrow("to is nobody, somebody is needed");
    await using policy = await testPolicy(module, { definition, params: { greeting: "hello" } });
    expect((await policy.request()).outcome).toBe("passed");
    expect(calls).toEqual([
      { greeting: "hello", to: "nobody" },
      { greeting: "hello", to: "world" },
    ]);
  });

  test("runs response hooks on denials when the definition says so", async () => {
    const deny = () => ({ onRequest: () => respond(403) });
    await using chain = await testChain([
      { policy: greeter, definition, params: { greeting: "hello" } },
      { policy: deny },
    ]);
    expect((await chain.request()).answer?.headers.get("x-denied")).toBe("true");
    await using without = await testChain([
      { policy: greeter, params: { greeting: "hello", to: "you" } },
      { policy: deny },
    ]);
    expect((await without.request()).answer?.headers.has("x-denied")).toBe(false);
  });
});

describe("testPolicy()", () => {
  test("tells the policy about its place", async () => {
    let told: PolicyMetadata | undefined;
    const policy: PolicyFactory = (metadata) => {
      told = metadata;
      return { onRequest() {} };
    };
    await using chain = await testPolicy(policy, { route: "orders", metadata: { environment: "staging" } });
    expect(told).toMatchObject({
      name: "policy",
      version: "v0.0.0",
      route: "orders",
      engine: { environment: "staging" },
    });
    expect((await chain.request()).metadata.get("environment")).toBe("staging");
  });

  test("freezes parameters, also without a definition", async () => {
    const params = { list: ["a"], inner: { b: 1 } };
    const mutate: PolicyFactory<typeof params> = (_metadata, { list, inner }) => {
      expect(() => list.push("b")).toThrow(TypeError);
      expect(() => {
        inner.b = 2;
      }).toThrow(TypeError);
      return { onRequest() {} };
    };
    await (await testPolicy(mutate, { params })).close();
    // The test's own object is not touched.
    params.list.push("b");
    expect(params.list).toEqual(["a", "b"]);
  });

  test("rejects when there is no usable instance", async () => {
    const broken: [PolicyFactory, string][] = [
      [() => Promise.reject(new Error("no database")), "no database"],
      [() => ({}), "without hooks"],
    ];
    for (const [policy, message] of broken) await expect(testPolicy(policy)).rejects.toThrow(message);
  });

  test("records what the policy and the engine log", async () => {
    const talks: PolicyFactory = ({ log }) => {
      log.info("Made", { answer: 42 });
      return {
        onRequest(ctx) {
          ctx.log.debug("Seen");
          if (ctx.path === "/fails") throw new Error("broken");
        },
      };
    };
    await using policy = await testPolicy(talks);
    const { requestId } = await policy.request({ path: "/fails" });
    expect(policy.logs).toMatchObject([
      {
        level: "info",
        message: "Made",
        fields: { answer: 42, policy: "policy:v0.0.0", route: "test-route" },
      },
      { level: "debug", message: "Seen", fields: { request_id: requestId } },
      { level: "error", fields: { request_id: requestId, error: new Error("broken") } },
    ]);
  });
});

describe("testChain()", () => {
  test("FR-004: runs in list order, with a response order of its own", async () => {
    const tag: PolicyFactory<{ name: string }> = (_metadata, { name }) => ({
      onRequest: () => ({ appendHeaders: { "x-trail": name } }),
      onResponse: () => ({ appendHeaders: { "x-trail": name } }),
    });
    const links = ["a", "b", "c"].map((name) => ({ policy: tag, params: { name } }));
    for (const [responseOrder, trail] of [
      ["listed", "a, b, c"],
      ["reversed", "c, b, a"],
    ] as const) {
      await using chain = await testChain(links, { responseOrder });
      const exchange = await chain.request();
      expect(exchange.headers.get("x-trail")).toBe("a, b, c");
      expect((await exchange.response()).headers.get("x-trail")).toBe(trail);
    }
  });

  test("edge: an empty chain passes everything unchanged", async () => {
    await using chain = await testChain([]);
    const exchange = await chain.request({ path: "/a", headers: { "x-a": "1" } });
    expect(exchange).toMatchObject({ outcome: "passed", path: "/a", changes: {} });
    expect((await exchange.response({ status: 204 })).status).toBe(204);
  });

  test("closes every policy once, and those before one that cannot be made", async () => {
    const closed: string[] = [];
    const closing: PolicyFactory<{ name: string }> = ({ signal }, { name }) => ({
      onRequest() {},
      close: () => void closed.push(`${name} ${signal.aborted}`),
    });
    const links = ["a", "b"].map((name) => ({ policy: closing, params: { name } }));
    const chain = await testChain(links);
    expect(closed).toEqual([]);
    await chain.close();
    await chain.close();
    expect(closed).toEqual(["a true", "b true"]);
    const broken = { policy: () => Promise.reject(new Error("broken")) };
    await expect(testChain([...links, broken])).rejects.toThrow("broken");
    expect(closed).toEqual(["a true", "b true", "a true", "b true"]);
  });
});

describe("FR-053: failure modes", () => {
  const failing: PolicyFactory<{ how: "throw" | "hang" }> = (_metadata, { how }) => ({
    onRequest(ctx) {
      ctx.metadata.set("left", "behind");
      if (how === "throw") throw new Error("on purpose");
      return new Promise<undefined>(() => {});
    },
    onResponse: () => ({ status: 418 }),
  });
  const after: PolicyFactory = () => ({ onRequest: () => ({ setHeaders: { "x-after": "1" } }) });

  test.each(["throw", "hang"] as const)("open: a policy that is to %s is left out", async (how) => {
    await using chain = await testChain([
      { policy: failing, params: { how }, failureMode: "open", timeoutMs: 1 },
      { policy: after },
    ]);
    const exchange = await chain.request();
    expect([exchange.outcome, exchange.headers.get("x-after"), exchange.metadata.size]).toEqual([
      "passed",
      "1",
      0,
    ]);
    expect((await exchange.response()).status).toBe(200);
    expect(chain.logs[0]?.fields).toMatchObject({ failure_mode: "open", policy: "policy:v0.0.0" });
  });

  test("closed: an answer, with what the policy threw, or that it took too long", async () => {
    await using chain = await testChain([{ policy: failing, params: { how: "hang" }, timeoutMs: 1 }]);
    const { answer, error } = await chain.request();
    expect([answer?.status, answer?.reason]).toEqual([500, "policy_timeout"]);
    expect(String(error)).toContain("its timeout of 1 ms");
  });

  test("the definition says which, and options say otherwise", async () => {
    const definition = join(folder, "open.yaml");
    await Bun.write(definition, "name: open\nversion: v1.0.0\nfailureMode: open\n");
    await using open = await testPolicy(failing, { definition, params: {}, timeoutMs: 1 });
    expect((await open.request()).outcome).toBe("passed");
    await using closed = await testPolicy(failing, {
      ...{ definition, params: {}, timeoutMs: 1 },
      failureMode: "closed",
    });
    expect((await closed.request()).outcome).toBe("failed");
  });
});

describe("expressions of a policy", () => {
  const authenticates: PolicyFactory<{ readonly allowed: string }> = (metadata, { allowed }) => {
    const rule = metadata.expression(allowed);
    return {
      onRequest(ctx) {
        ctx.metadata.set("auth", { subject: "ann", claims: { role: ctx.headers.get("x-role") ?? "" } });
        return rule.evaluate(ctx) === true ? undefined : respond(403);
      },
    };
  };
  const names: PolicyFactory = (metadata) => {
    const key = metadata.expression("auth.subject + ' of ' + route + ' got ' + string(response.status)");
    return { onResponse: (ctx) => ({ setHeaders: { "x-key": String(key.evaluate(ctx)) } }) };
  };

  test("see what their own hook wrote to the metadata, and so do those of later policies", async () => {
    await using chain = await testChain(
      [{ policy: authenticates, params: { allowed: "auth.claims.role == 'admin'" } }, { policy: names }],
      { route: "orders" },
    );
    const denied = await chain.request({ headers: { "x-role": "guest" } });
    expect(denied.answer?.status).toBe(403);
    const passed = await chain.request({ headers: { "x-role": "admin" } });
    expect(passed.answer).toBeUndefined();
    const response = await passed.response({ status: 201 });
    expect(response.headers.get("x-key")).toBe("ann of orders got 201");
  });

  test("that are wrong are told when the policy is made", async () => {
    const made = testPolicy(authenticates, { params: { allowed: "auth.claim.role == 'admin'" } });
    await expect(made).rejects.toThrow(
      'unknown field "claim" of "auth" at character 6, did you mean "claims"?',
    );
  });
});
