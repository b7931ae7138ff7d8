import type { ModeOverride } from "../kernel/body-mode.ts";

/** By part of the exchange: `SEND` or `SKIP`, for bodies `NONE` or `BUFFERED`. */
export type AnswerModes = Readonly<
  Record<
    | "requestHeaders"
    | "requestBody"
    | "requestTrailers"
    | "responseHeaders"
    | "responseBody"
    | "responseTrailers",
    string
  >
>;

/** Names of Envoy's modes, by number. */
const HEADER_MODES = ["DEFAULT", "SEND", "SKIP"];
const BODY_MODES = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL"];

/** An override in the words of Envoy's configuration. */
export function modesOf(mode: ModeOverride): AnswerModes {
  const header = (value: number | undefined): string => HEADER_MODES[value ?? 0] ?? "?";
  const body = (value: number | undefined): string => BODY_MODES[value ?? 0] ?? "?";
  return {
    requestHeaders: header(mode.requestHeaderMode),
    requestBody: body(mode.requestBodyMode),
    requestTrailers: header(mode.requestTrailerMode),
    responseHeaders: header(mode.responseHeaderMode),
    responseBody: body(mode.responseBodyMode),
    responseTrailers: header(mode.responseTrailerMode),
  };
}
