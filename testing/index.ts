/**
 * Runs policies in a unit test, without Envoy: the same checks of definition and parameters, the same chain
 * code and the same rules for changes as in the engine, without sockets.
 *
 * Begin with {@link testPolicy}, or with {@link testChain} for several policies in a row.
 *
 * @module
 */
export type { TestLogLine } from "./recording-logger.ts";
export {
  type ChainOptions,
  type Link,
  type PolicyOptions,
  type PolicySource,
  TestChain,
  testChain,
  testPolicy,
} from "./test-chain.ts";
export { type TestAnswer, TestExchange, type TestResponse } from "./test-exchange.ts";
export type { BodyInit, HeadersInit, TestRequestInit, TestResponseInit } from "./test-messages.ts";
