import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ProcessingResponseSchema } from "../../runtime/gen/envoy/service/ext_proc/v3/external_processor_pb.ts";

type Answer = MessageInitShape<typeof ProcessingResponseSchema>;

/** What every peer answers to the headers of a request: one header set. */
export const REQUEST_ANSWER: Answer = {
  response: { case: "requestHeaders", value: setHeader("x-bench-request") },
};

/** And to those of a response. */
export const RESPONSE_ANSWER: Answer = {
  response: { case: "responseHeaders", value: setHeader("x-bench-response") },
};

function setHeader(key: string) {
  const header = { key, rawValue: new TextEncoder().encode("1") };
  return { response: { headerMutation: { setHeaders: [{ header }] } } };
}
