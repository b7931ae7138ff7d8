import { dirname } from "node:path";
import type { PolicyFactory } from "@policy-engine/sdk";
import { SDK_VERSION } from "@policy-engine/sdk";
import type { Chain } from "../runtime/chain/chain.ts";
import { compileChain } from "../runtime/chain/compile.ts";
import { Exchange } from "../runtime/chain/executor.ts";
import { createEngineMetrics } from "../runtime/observability/engine-metrics.ts";
import { createInstance } from "../runtime/policy/create-instance.ts";
import type { PolicyInstance } from "../runtime/policy/instance.ts";
import { createSecretReader } from "../runtime/policy/parameters.ts";
import type { BuildInfo } from "../runtime/policy/registry.ts";
import { checkedParams, registeredPolicy } from "./policy-under-test.ts";
import { RecordingLogger, type TestLogLine } from "./recording-logger.ts";
import { run, TestExchange } from "./test-exchange.ts";
import { receivedRequest, type TestRequestInit } from "./test-messages.ts";

/**
 * A policy to test: its `getPolicy`, or its module (`import * as policy from "./policy.ts"`), which brings its
 * `validate` along.
 */
export type PolicySource<Params> =
  | PolicyFactory<Params>
  | {
      readonly getPolicy: PolicyFactory<Params>;
      readonly validate?: (params: Params) => readonly string[];
    };

/** Parameters and definition of one policy. */
export interface PolicyOptions {
  /**
   * Parameters as they stand in a route's configuration. With a definition they are checked and filled with its
   * defaults, as the engine does; without one they are handed over as they are. Default: `{}`.
   */
  readonly params?: unknown;
  /**
   * The policy's definition: its file, its folder, or any file beside it, as path or URL. In a test that stands
   * beside the policy: `import.meta.url`. Default: none, and the policy is called `policy` in version `v0.0.0`.
   */
  readonly definition?: string | URL | undefined;
  /** What happens where a body that the policy asks for cannot be buffered, as in a route. Default: `deny`. */
  readonly onUnbufferable?: "deny" | "skip";
  /** What a failure of the policy does, as in a route. Default: what the definition says, or `closed`. */
  readonly failureMode?: "closed" | "open";
  /** How long an asynchronous hook may take, in milliseconds, as `timeout` of a route. Default: no bound. */
  readonly timeoutMs?: number;
  /** Environment variables for parameters that are given as `fromEnv`. Default: those of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A policy in a chain. */
export interface Link extends PolicyOptions {
  readonly policy: PolicySource<never>;
}

/** What is said of a chain as a whole. */
export interface ChainOptions {
  /** The key of the route. Default: `test-route`. */
  readonly route?: string;
  /** Default: `listed`. */
  readonly responseOrder?: "listed" | "reversed";
  /** The operator's metadata, such as `environment`. Default: none. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** `limits.createTimeout` of the engine, by default. */
const CREATE_TIMEOUT_MS = 10_000;

/** A fixed time, so that what a policy makes of it can be compared. */
const BUILD: BuildInfo = {
  version: "0.0.0-test",
  gitCommit: "",
  builtAt: "2000-01-01T00:00:00.000Z",
  builderVersion: "",
  sdkVersion: SDK_VERSION,
  bunVersion: Bun.version,
};

/**
 * Makes a policy ready for requests.
 *
 * @param policy Its `getPolicy`, or its module.
 * @param options Parameters, definition, and what the policy is told about its place.
 * @throws {Error} With every problem of the definition and the parameters, or why there is no instance.
 *
 * @example
 * ```ts
 * import { expect, test } from "bun:test";
 * import { type PolicyFactory, type RequestResult, respond } from "@policy-engine/sdk";
 * import { testPolicy } from "@policy-engine/testing";
 *
 * const getPolicy: PolicyFactory<{ header: string }> = (_metadata, { header }) => ({
 *   onRequest(ctx): RequestResult {
 *     if (!ctx.headers.has(header)) return respond(400, { body: `${header} is needed` });
 *     return { removeHeaders: [header] };
 *   },
 * });
 *
 * test("takes the header out", async () => {
 *   await using policy = await testPolicy(getPolicy, { params: { header: "x-token" } });
 *   const exchange = await policy.request({ path: "/orders", headers: { "X-Token": "abc" } });
 *   expect(exchange.outcome).toBe("passed");
 *   expect(exchange.changes).toEqual({ "x-token": null });
 * });
 *
 * test("refuses a request without it", async () => {
 *   await using policy = await testPolicy(getPolicy, { params: { header: "x-token" } });
 *   const { answer } = await policy.request();
 *   expect(answer?.status).toBe(400);
 *   expect(answer?.body).toBe("x-token is needed");
 * });
 * ```
 */
export function testPolicy<Params>(
  policy: PolicySource<Params>,
  options: ChainOptions &
    (
      | (PolicyOptions & { readonly definition: string | URL })
      | { readonly params?: NoInfer<Params>; readonly definition?: undefined }
    ) = {},
): Promise<TestChain> {
  return testChain([{ ...options, policy }], options);
}

/**
 * Makes a chain of policies ready for requests, in list order.
 *
 * @param links The policies, each with its parameters.
 * @param options What is said of the chain as a whole.
 * @throws {Error} With every problem of the definitions and the parameters, or why there is no instance.
 *
 * @example
 * ```ts
 * import { expect, test } from "bun:test";
 * import type { PolicyFactory } from "@policy-engine/sdk";
 * import { testChain } from "@policy-engine/testing";
 *
 * const tag: PolicyFactory<{ name: string }> = (_metadata, { name }) => ({
 *   onRequest: () => ({ appendHeaders: { "x-trail": name } }),
 *   onResponse: () => ({ appendHeaders: { "x-trail": name } }),
 * });
 *
 * test("runs in list order, and back in reverse", async () => {
 *   await using chain = await testChain(
 *     [
 *       { policy: tag, params: { name: "a" } },
 *       { policy: tag, params: { name: "b" } },
 *     ],
 *     { responseOrder: "reversed" },
 *   );
 *   const exchange = await chain.request();
 *   expect(exchange.headers.getAll("x-trail")).toEqual(["a", "b"]);
 *   const response = await exchange.response({ status: 204 });
 *   expect(response.headers.getAll("x-trail")).toEqual(["b", "a"]);
 * });
 * ```
 */
export async function testChain(links: readonly Link[], options: ChainOptions = {}): Promise<TestChain> {
  const { route = "test-route", responseOrder = "listed", metadata = {} } = options;
  const log = new RecordingLogger();
  const instances: PolicyInstance[] = [];
  try {
    for (const link of links) instances.push(await instanceOf(link, { route, metadata, log }));
  } catch (cause) {
    await closeAll(instances);
    throw cause;
  }
  const steps = instances.map((instance, index) => {
    const { onUnbufferable, failureMode, timeoutMs } = links[index]!;
    return { instance, onUnbufferable, failureMode, timeoutMs };
  });
  const chain = compileChain({ route, steps, responseOrder, metadata, metrics: createEngineMetrics() });
  return new TestChain({ chain, instances, log });
}

/** Policies at work on one route. Close it when the test is over, or declare it with `await using`. */
export class TestChain {
  /** What the policies, and the engine about them, wrote to the log. */
  readonly logs: readonly TestLogLine[];
  readonly #chain: Chain;
  readonly #instances: readonly PolicyInstance[];
  readonly #log: RecordingLogger;
  /** Exchanges that could still get a response. */
  readonly #open = new Set<Exchange>();

  /** @private Made by {@link testPolicy} and {@link testChain}. */
  constructor(parts: { chain: Chain; instances: readonly PolicyInstance[]; log: RecordingLogger }) {
    this.#chain = parts.chain;
    this.#instances = parts.instances;
    this.#log = parts.log;
    this.logs = parts.log.lines;
  }

  /**
   * Runs the request hooks on a request.
   *
   * @param init The request; `GET /` without headers if not given.
   * @returns What became of it. A hook that throws does not reject: the outcome is `failed`, with the `error`.
   */
  async request(init: TestRequestInit = {}): Promise<TestExchange> {
    const { message: request, content } = receivedRequest(init);
    const exchange = new Exchange({ chain: this.#chain, request, log: this.#log });
    this.#open.add(exchange);
    const cancelled = await run(exchange, {
      content,
      signal: init.signal,
      begin: () => exchange.runRequest(),
    });
    const ended = () => void this.#open.delete(exchange);
    const host = { logs: this.logs, exchange, method: request.method, ended };
    return new TestExchange(host, { cancelled, content });
  }

  /** Ends what is still open as cancelled, and closes the policies. */
  async close(): Promise<void> {
    for (const exchange of this.#open) exchange.end("cancelled");
    await closeAll(this.#instances);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function instanceOf(
  link: Link,
  place: { route: string; metadata: Readonly<Record<string, string>>; log: RecordingLogger },
): Promise<PolicyInstance> {
  const { policy, file } = registeredPolicy(link.policy, link.definition);
  const secrets = createSecretReader({ baseDir: dirname(file), ...(link.env && { env: link.env }) });
  const params = checkedParams(policy, link.params ?? {}, secrets);
  const { route, metadata: engineMetadata, log } = place;
  return createInstance(policy, {
    route,
    params,
    engineMetadata,
    build: BUILD,
    log,
    timeoutMs: CREATE_TIMEOUT_MS,
  });
}

async function closeAll(instances: readonly PolicyInstance[]): Promise<void> {
  await Promise.all(instances.map((instance) => instance.close()));
}
