import { describe, expect, test } from "bun:test";
import type { Policy, PolicyMetadata } from "@policy-engine/sdk";
import { createLogger } from "../observability/log.ts";
import { type CreateInstanceOptions, createInstance } from "./create-instance.ts";
import type { PolicyInstance } from "./instance.ts";
import { compileParameters } from "./parameters.ts";
import { parseDefinition } from "./parse-definition.ts";
import type { RegisteredPolicy } from "./registry.ts";

const BUILD = {
  version: "v0.1.0",
  gitCommit: "abc",
  builtAt: "2026-01-31T12:00:00Z",
  builderVersion: "0.1.0",
  sdkVersion: "1.0.0",
  bunVersion: "1.4.5",
};
const PARAMETERS =
  "parameters: { type: object, properties: { key: { type: string, secret: true }, n: { type: integer } } }\n";
const HOOKS: Policy = { onRequest() {} };

type Made = (metadata: PolicyMetadata, params: { key: string; n: number }) => unknown;

function registered(
  getPolicy: Made,
  extra: { definition?: string; validate?: unknown } = {},
): RegisteredPolicy {
  const text = `name: test\nversion: v1.0.0\n${extra.definition ?? ""}${PARAMETERS}`;
  const definition = parseDefinition(text, "f").definition!;
  const entry = {
    name: "test",
    version: "v1.0.0",
    definition: text,
    sourcePath: "policies/test/v1.0.0",
    integrity: "sha256-x",
    load: () => Promise.reject(new Error("not imported here")),
  };
  const module = { getPolicy, ...("validate" in extra ? { validate: extra.validate } : {}) };
  return {
    entry,
    definition,
    parameters: compileParameters(definition.parameters).parameters!,
    module: module as never,
  };
}

interface Created {
  readonly instance?: PolicyInstance;
  readonly error?: string;
  readonly lines: string[];
}

async function create(
  policy: RegisteredPolicy,
  extra: Partial<CreateInstanceOptions> = {},
): Promise<Created> {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", format: "json", write: (line) => void lines.push(line) });
  const params = Object.freeze({ key: "hunter2", n: 1 });
  const options = { route: "orders", params, engineMetadata: { environment: "staging" }, build: BUILD, log };
  try {
    const instance = await createInstance(policy, { ...options, timeoutMs: 5_000, ...extra });
    return { instance, lines };
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return { error: (error as Error).message, lines };
  }
}

describe("createInstance() hands over", () => {
  test("the place, the build, the operator's metadata and the parameters", async () => {
    let seen: { metadata: PolicyMetadata; params: unknown } | undefined;
    const previous: Policy = { onResponse() {} };
    const policy = registered((metadata, params) => {
      seen = { metadata, params };
      return HOOKS;
    });
    const params = Object.freeze({ key: "k", n: 2 });
    const { instance } = await create(policy, { params, previous });
    expect(instance?.policy).toBe(HOOKS);
    expect(instance?.definition).toBe(policy.definition);
    expect(seen?.params).toBe(params);
    expect(seen?.metadata).toMatchObject({
      name: "test",
      version: "v1.0.0",
      route: "orders",
      engine: { environment: "staging" },
      build: { sourcePath: "policies/test/v1.0.0", integrity: "sha256-x", builtAt: "2026-01-31T12:00:00Z" },
    });
    expect(seen?.metadata.previous).toBe(previous);
    expect(Object.isFrozen(seen?.metadata)).toBe(true);
    expect(Object.isFrozen(seen?.metadata.engine)).toBe(true);
  });

  test("a log whose lines name the policy and the route", async () => {
    const policy = registered((metadata) => {
      metadata.log.info("hello");
      return HOOKS;
    });
    const { lines } = await create(policy);
    expect(lines[0]).toContain('"test:v1.0.0"');
    expect(lines[0]).toContain('"orders"');
  });

  test("an instance made asynchronously", async () => {
    expect((await create(registered(async () => HOOKS))).instance?.policy).toBe(HOOKS);
  });

  test("hooks of a class", async () => {
    class Counter implements Policy {
      onResponse(): void {}
    }
    expect((await create(registered(() => new Counter()))).instance).toBeDefined();
  });

  test("a compiler of CEL expressions", async () => {
    const made: unknown[] = [];
    const policy = registered((metadata) => {
      made.push(metadata.expression("request.path").type, metadata.expression("1 == 1").type);
      return HOOKS;
    });
    expect((await create(policy)).error).toBeUndefined();
    expect(made).toEqual(["string", "bool"]);
  });

  test.each([
    ["", 'it reads "request.body", "requiresRequestBody" of the definition is needed'],
    ["requiresRequestBody: buffered\n", 'unknown variable "nme"'],
    ["supportsResponsePhase: false\n", 'it reads "response", but the definition'],
  ])("what an expression may read, by the definition %j", async (definition, message) => {
    const sources = ["request.body == ''", "request.body == nme", "response.status"];
    const compile: Made = (metadata) => {
      const problems = sources.flatMap((source) => {
        try {
          metadata.expression(source);
          return [];
        } catch (error) {
          return [(error as Error).message];
        }
      });
      throw new Error(problems.join(" and "));
    };
    expect((await create(registered(compile, { definition }))).error).toContain(message);
  });

  test("every problem of an expression, without secrets", async () => {
    const policy = registered((metadata, { key }) => {
      metadata.expression(`${key} == nme`);
      return HOOKS;
    });
    const { error } = await create(policy);
    expect(error).toContain('unknown variable "nme"');
    expect(error).toContain("; ");
    expect(error).not.toContain("hunter2");
  });
});

const START = 'Cannot create policy "test" v1.0.0: ';

describe("createInstance() refuses", () => {
  const thrower: Made = () => {
    throw new Error("no");
  };
  test.each<[string, Made, string]>([
    ["a throw", thrower, "getPolicy failed: Error: no"],
    ["a rejection", () => Promise.reject(new TypeError("late")), "getPolicy failed: TypeError: late"],
    ["a thrown text", () => Promise.reject("just text"), "getPolicy failed: just text"],
    [
      "a thrown thing that cannot be printed",
      () => Promise.reject(Object.create(null)),
      "getPolicy failed: something that cannot be printed",
    ],
    ["nothing", () => undefined, "getPolicy returned undefined, an object with hooks is needed"],
    ["null", () => null, "getPolicy returned null, an object with hooks is needed"],
    ["a list", () => [HOOKS], "getPolicy returned a list, an object with hooks is needed"],
    ["a function", () => () => HOOKS, "getPolicy returned function, an object with hooks is needed"],
    [
      "no hooks",
      () => ({ onEnd() {} }),
      "getPolicy returned an object without hooks, onRequest or onResponse is needed",
    ],
    ["a hook that is text", () => ({ onRequest: "x" }), "its onRequest is not a function but string"],
    ["a close that is null", () => ({ ...HOOKS, close: null }), "its close is not a function but null"],
    [
      "hooks that throw when read",
      () => ({
        get onRequest() {
          throw new Error("boo");
        },
      }),
      "its hooks cannot be read: Error: boo",
    ],
  ])("%s", async (_title, getPolicy, message) => {
    expect((await create(registered(getPolicy))).error).toBe(START + message);
  });

  test.each([
    ["supportsRequestPhase: true\n", { onResponse() {} }, "supportsRequestPhase, but it has no onRequest"],
    [
      "supportsRequestPhase: false\n",
      { onRequest() {} },
      "supportsRequestPhase: false, but it has onRequest",
    ],
    ["supportsResponsePhase: true\n", { onRequest() {} }, "supportsResponsePhase, but it has no onResponse"],
    [
      "supportsResponsePhase: false\n",
      { onResponse() {} },
      "supportsResponsePhase: false, but it has onResponse",
    ],
  ])("FR-016, FR-017: hooks that are not those of %j", async (definition, hooks, message) => {
    let closed = 0;
    const made = { ...hooks, close: () => void closed++ };
    const { error } = await create(registered(() => made, { definition }));
    expect(error).toBe(`${START}its definition says ${message}`);
    expect(closed).toBe(1);
  });

  test("FR-018: both phases, as the definition says", async () => {
    const definition = "supportsRequestPhase: true\nsupportsResponsePhase: true\n";
    const hooks = { onRequest() {}, onResponse() {} };
    expect((await create(registered(() => hooks, { definition }))).instance).toBeDefined();
  });

  test("edge: a getPolicy that hangs; what it returns later is closed", async () => {
    const late = Promise.withResolvers<Policy>();
    const closed = Promise.withResolvers<string>();
    let signal: AbortSignal | undefined;
    const policy = registered((metadata) => {
      signal = metadata.signal;
      return late.promise;
    });
    const { error } = await create(policy, { timeoutMs: 5 });
    expect(error).toBe(`${START}getPolicy did not end within 5 ms`);
    expect(signal?.aborted).toBe(true);
    late.resolve({ ...HOOKS, close: () => closed.resolve("closed") });
    expect(await closed.promise).toBe("closed");
  });

  test("edge: a getPolicy that hangs and then rejects is logged, without its secret", async () => {
    const late = Promise.withResolvers<Policy>();
    const logged = Promise.withResolvers<string>();
    const log = createLogger({ level: "debug", format: "json", write: (line) => logged.resolve(line) });
    const { error } = await create(
      registered(() => late.promise),
      { timeoutMs: 5, log },
    );
    expect(error).toContain("did not end");
    late.reject(new Error("bad hunter2"));
    const line = await logged.promise;
    expect(line).toContain("bad [redacted]");
    expect(line).not.toContain("hunter2");
  });
});

describe("validate", () => {
  test("runs first, with the parameters, and its reasons are told", async () => {
    let made = 0;
    const make: Made = () => {
      made += 1;
      return HOOKS;
    };
    const validate = (params: { n: number }) => (params.n === 1 ? ["n must be even", "n is odd"] : []);
    const { error } = await create(registered(make, { validate }));
    expect(error).toBe(`${START}its parameters are refused: n must be even; n is odd`);
    expect(made).toBe(0);
    const accepted = await create(registered(make, { validate }), { params: { key: "k", n: 2 } });
    expect(accepted.instance).toBeDefined();
  });

  test.each([
    [() => "wrong", "validate did not return a list of strings"],
    [() => [3], "validate did not return a list of strings"],
    [() => undefined, "validate did not return a list of strings"],
    [() => Promise.reject(new Error("async")), "validate did not return a list of strings"],
    [() => Promise.resolve([]), "validate did not return a list of strings"],
  ])("nonsense from it: %p", async (validate, message) => {
    expect((await create(registered(() => HOOKS, { validate }))).error).toBe(START + message);
  });

  test("a throw in it", async () => {
    const validate = (params: { key: string }) => {
      throw new Error(`key ${params.key} is short`);
    };
    expect((await create(registered(() => HOOKS, { validate }))).error).toBe(
      `${START}validate failed: Error: key [redacted] is short`,
    );
  });
});

describe("secrets do not get into errors and logs", () => {
  test.each<[string, Made]>([
    ["a throw", (_metadata, params) => Promise.reject(new Error(`key ${params.key}, ${params.key}`))],
    ["a long throw", (_metadata, params) => Promise.reject(new Error(`${"x".repeat(985)}${params.key}`))],
    [
      "a getter",
      (_metadata, params) => ({
        get onRequest() {
          throw new Error(params.key);
        },
      }),
    ],
  ])("from %s", async (_title, getPolicy) => {
    const { error, lines } = await create(registered(getPolicy));
    expect(error).toStartWith(START);
    expect(error + lines.join()).not.toMatch(/hunt/);
  });

  test("from what a policy or its hooks' failures write later, however deep", async () => {
    const { instance, lines } = await create(
      registered(({ log }, { key }) => {
        log.info(`with ${key}`, { [key]: { list: [key, 7], error: new Error(key, { cause: key }) } });
        return HOOKS;
      }),
    );
    // Where a text is cut, the secret must not stand in part.
    const error = new TypeError("Invalid URL: hunter2", { cause: `${"x".repeat(8 * 1024 - 3)}hunter2` });
    instance?.log.child({ request_id: "id-1" }).error("Policy failed in onRequest", { error });
    instance?.log.repeated("warn", "again hunter2", { note: "hunter2" });
    expect(lines).toHaveLength(3);
    expect(lines[2]).toContain('"message":"again [redacted]"');
    expect(lines[0]).toContain('"message":"with [redacted]"');
    expect(lines[1]).toContain("Invalid URL: [redacted]");
    expect(lines[1]).toContain('"id-1"');
    expect(lines.join()).not.toContain("hun");
  });

  test("from what is left behind by the policy's code, in lines that are not its own", async () => {
    const lines: string[] = [];
    const log = createLogger({ level: "debug", format: "json", write: (line) => void lines.push(line) });
    const { instance } = await create(
      registered(() => HOOKS),
      { log },
    );
    log.error("Rejection that nothing waited for", { error: new Error("cannot fetch ?key=hunter2") });
    await instance?.close();
    log.error("Rejection that nothing waited for", { error: new Error("aborted ?key=hunter2") });
    expect(lines).toHaveLength(2);
    expect(lines.join()).not.toContain("hunt");
    await create(
      registered(() => Promise.reject(new Error("other"))),
      { log, params: { key: "geheim3", n: 1 } },
    );
    log.error("Rejection that nothing waited for", { error: "geheim3" });
    expect(lines.join()).not.toContain("geheim");
  });

  test("a very short secret withholds the message, where replacing would show it", async () => {
    const { error } = await create(
      registered((_metadata, params) => Promise.reject(new Error(`got ${params.key}!`))),
      { params: { key: "ab", n: 1 } },
    );
    expect(error).toBe(`${START}getPolicy failed: the message is withheld, because it may hold a secret`);
  });
});

describe("close()", () => {
  test("aborts the signal, closes once, and all who close wait for it", async () => {
    const closing = Promise.withResolvers<void>();
    const events: string[] = [];
    const policy = registered((metadata) => {
      metadata.signal.addEventListener("abort", () => events.push("abort"));
      return {
        ...HOOKS,
        close: () => {
          events.push("close");
          return closing.promise;
        },
      };
    });
    const { instance } = await create(policy);
    const [first, second] = [instance!.close(), instance!.close()];
    expect(events).toEqual(["abort", "close"]);
    closing.resolve();
    await Promise.all([first, second, instance!.close()]);
    expect(events).toEqual(["abort", "close"]);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("stuck hunter2");
      },
    ],
    ["rejects", () => Promise.reject(new Error("stuck hunter2"))],
  ])("a close that %s is logged, never thrown", async (_title, close) => {
    const { instance, lines } = await create(registered(() => ({ ...HOOKS, close })));
    await instance!.close();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("Cannot close policy: its close failed");
    expect(lines[0]).toContain("stuck [redacted]");
  });

  test("without a close of the policy's own", async () => {
    let signal: AbortSignal | undefined;
    const { instance, lines } = await create(
      registered((metadata) => {
        signal = metadata.signal;
        return HOOKS;
      }),
    );
    expect(signal?.aborted).toBe(false);
    await instance!.close();
    expect(signal?.aborted).toBe(true);
    expect(lines).toEqual([]);
  });
});
