// Which messages Envoy shall still send for this exchange. The base configuration is wide; each first answer
// narrows it. Every field is written out: a body mode that is left out means NONE to Envoy, and a header mode
// that is left out means whatever its configuration says.
import {
  ProcessingMode_BodySendMode as Body,
  ProcessingMode_HeaderSendMode as Headers,
} from "../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.ts";
import type { Answer } from "./codec.ts";

/** What the answer to request headers, or to response headers, asks for. */
export type ModeOverride = NonNullable<Answer["modeOverride"]>;

/** What is still wanted of an exchange, beside the headers that are answered. */
export interface Wants {
  readonly requestBody: boolean;
  readonly response: boolean;
  readonly responseBody: boolean;
}

/** The override that asks for that and for nothing else. With a body, its trailers: they may come instead of it. */
export function modeOverride({ requestBody, response, responseBody }: Wants): ModeOverride {
  return {
    requestHeaderMode: Headers.SEND,
    responseHeaderMode: response ? Headers.SEND : Headers.SKIP,
    requestBodyMode: requestBody ? Body.BUFFERED : Body.NONE,
    responseBodyMode: responseBody ? Body.BUFFERED : Body.NONE,
    requestTrailerMode: requestBody ? Headers.SEND : Headers.SKIP,
    responseTrailerMode: responseBody ? Headers.SEND : Headers.SKIP,
  };
}
