import type { ModeOverride } from "../kernel/encode-answer.ts";

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
  const header = (value: number): string => HEADER_MODES[value] ?? "?";
  const body = (value: number): string => BODY_MODES[value] ?? "?";
  const [requestHeaders, responseHeaders, requestBody, responseBody, requestTrailers, responseTrailers] =
    mode;
  return {
    requestHeaders: header(requestHeaders),
    requestBody: body(requestBody),
    requestTrailers: header(requestTrailers),
    responseHeaders: header(responseHeaders),
    responseBody: body(responseBody),
    responseTrailers: header(responseTrailers),
  };
}
