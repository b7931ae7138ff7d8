import type { EndContext } from "./context.ts";
import type { Logger } from "./logger.ts";
import type { RequestContext } from "./request-context.ts";
import type { ResponseContext } from "./response-context.ts";
import type { RequestResult, ResponseResult } from "./result.ts";

/**
 * Makes a policy for one place in one route's chain. The engine calls it when a configuration is loaded, never
 * during an exchange: prepare here whatever can be prepared. Parameters have been checked against the
 * definition's schema, filled with its defaults and frozen.
 *
 * Annotate each hook with its result type, as below: the compiler then refuses unknown properties; without, they
 * are refused only when the hook runs.
 *
 * A module exports it as `getPolicy`. If it throws, rejects or takes longer than `limits.createTimeout`, the
 * route is not changed and the error is reported at its place in the configuration.
 *
 * @example
 * ```ts
 * import type { PolicyFactory, RequestResult } from "@policy-engine/sdk";
 *
 * export const getPolicy: PolicyFactory<{ name: string; value: string }> = (_metadata, params) => {
 *   const changes = { setHeaders: { [params.name]: params.value } };
 *   return {
 *     onRequest: (): RequestResult => changes,
 *   };
 * };
 * ```
 */
export type PolicyFactory<Params = unknown> = (
  metadata: PolicyMetadata,
  params: Readonly<Params>,
) => Policy | Promise<Policy>;

/**
 * A policy at work. Implement the hooks it needs; an object without any is refused. Hooks may be synchronous or
 * asynchronous, and a synchronous one is never made to wait. Instances serve many exchanges at once: keep
 * nothing about one exchange in them, use `metadata` of the context.
 */
export interface Policy {
  /**
   * Runs for every request on the route, in the chain's order.
   * A throw, a rejection, a wrong result, or a promise that takes longer than the route's `timeout` or than is left of
   * the message's time, is a failure: 500 with an error id, or with `failureMode: open` the policy is left out. A
   * failed hook leaves nothing behind, and what it does afterwards is dropped.
   */
  onRequest?(ctx: RequestContext): RequestResult | Promise<RequestResult>;
  /** Runs for every response on the route, in the chain's response order. */
  onResponse?(ctx: ResponseContext): ResponseResult | Promise<ResponseResult>;
  /** Runs once when the chain's part of an exchange is over, if a hook of this policy had started. */
  onEnd?(ctx: EndContext): void;
  /**
   * Runs when no exchange can reach this instance any more: release what `getPolicy` took. A hook whose exchange
   * was cancelled or refused, or whose time was over, may still be at work; nothing waits for it, and the signals
   * are aborted.
   */
  close?(): void | Promise<void>;
}

/** What `getPolicy` is told about its place. */
export interface PolicyMetadata {
  /** The policy's name, as in its definition. */
  readonly name: string;
  /** The policy's version, as in its definition, such as `v1.0.0`. */
  readonly version: string;
  /** The key of the route the instance serves. */
  readonly route: string;
  /** A log whose lines carry the policy, its version and the route. */
  readonly log: Logger;
  /** Aborted when the instance is about to be closed: stop timers and requests of the policy's own. */
  readonly signal: AbortSignal;
  /** The operator's `metadata` of the engine's configuration, such as `environment`. */
  readonly engine: Readonly<Record<string, string>>;
  /** Facts about this policy in this executable. */
  readonly build: BuildFacts;
  /** The instance this one takes the place of after a change of parameters, to carry state over. */
  readonly previous?: Policy;
  /**
   * Compiles a CEL expression with the variables, functions and limits of conditions. Call it in `getPolicy`, so that
   * a wrong expression is an error of the configuration. One that reads a body needs a definition that asks for it.
   * @throws {Error} With everything that is wrong with the expression.
   *
   * @example
   * ```ts
   * import { type PolicyFactory, type RequestResult, respond } from "@policy-engine/sdk";
   *
   * export const getPolicy: PolicyFactory<{ when: string }> = (metadata, params) => {
   *   const refused = metadata.expression(params.when); // such as: auth.claims.role != "admin"
   *   if (refused.type !== "bool") throw new Error(`"when" must be a bool, not ${refused.type}`);
   *   return {
   *     onRequest: (ctx): RequestResult => (refused.evaluate(ctx) === true ? respond(403) : undefined),
   *   };
   * };
   * ```
   */
  expression(source: string): Expression;
}

/** Where a compiled policy came from. */
export interface BuildFacts {
  /** The folder the policy was compiled from. */
  readonly sourcePath: string;
  /** When, as an ISO 8601 time. */
  readonly builtAt: string;
  /** A digest over the policy's files, `sha256-…`. */
  readonly integrity: string;
}

/** A CEL expression, compiled and bounded. */
export interface Expression {
  /**
   * The type of its values in CEL: `bool`, `string`, `int`, `list<string>`, …, or `dyn` where only the exchange tells,
   * as for what it takes from metadata, claims or JSON.
   */
  readonly type: string;
  /**
   * The expression's value for the exchange as it stands: `metadata` and `auth` are what `ctx.metadata` holds at this
   * moment, with what this hook has set itself.
   *
   * | CEL                      | Value                                                                             |
   * | ------------------------ | --------------------------------------------------------------------------------- |
   * | bool, string, null       | `boolean`, `string`, `null`                                                       |
   * | int, uint                | `number` where that is exact (`Number.isSafeInteger`), else `bigint`              |
   * | double                   | `number`                                                                          |
   * | bytes, timestamp         | `Uint8Array`, `Date`, copies                                                      |
   * | duration                 | `number` of milliseconds                                                          |
   * | list                     | `Array`, a copy                                                                   |
   * | map                      | object without prototype, a copy; keys that are not strings are written as such   |
   *
   * @throws {Error} With the name `CelError` if it has no value: a key is missing, a type is wrong, `response` or a
   * body is not there, a limit was reached. `code` tells which, such as `no_such_key`; the message quotes nothing of
   * the exchange. A hook that does not catch it fails.
   */
  evaluate(ctx: RequestContext | ResponseContext): unknown;
}
