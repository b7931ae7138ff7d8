/**
 * What a policy is written against. Import it as `@policy-engine/sdk`; it depends on nothing.
 *
 * A policy module exports {@link PolicyFactory | getPolicy}. The engine calls it once for every place in a
 * route's chain where the policy stands, and then calls the hooks of the {@link Policy} it returns for every
 * exchange on that route.
 *
 * @module
 */
export type { Attributes, Client, ContextBase, EndContext, Outcome } from "./context.ts";
export type { HeadersView } from "./headers.ts";
export type { LogFields, Logger, LogLevel } from "./logger.ts";
export type { BuildFacts, Expression, Policy, PolicyFactory, PolicyMetadata } from "./policy.ts";
export type { OriginalRequest, RequestContext } from "./request-context.ts";
export { type ImmediateResponse, isImmediateResponse, type RespondOptions, respond } from "./respond.ts";
export type { RequestView, ResponseContext } from "./response-context.ts";
export type {
  HeaderChanges,
  RequestChanges,
  RequestResult,
  ResponseChanges,
  ResponseResult,
} from "./result.ts";
export { SDK_VERSION } from "./version.ts";
