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

/** The override for an exchange of which only headers are wanted. */
export function headersOnly(wants: { response: boolean }): ModeOverride {
  return {
    requestHeaderMode: Headers.SEND,
    responseHeaderMode: wants.response ? Headers.SEND : Headers.SKIP,
    requestBodyMode: Body.NONE,
    responseBodyMode: Body.NONE,
    requestTrailerMode: Headers.SKIP,
    responseTrailerMode: Headers.SKIP,
  };
}
