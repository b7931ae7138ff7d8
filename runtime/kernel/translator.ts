// What policies decided, as answers that Envoy understands. Every answer names the kind of the message it
// answers, also when nothing changes; values go into raw_value, which is all that Envoy reads.
import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { type Denial, denialBody } from "../chain/denial.ts";
import type { Exchange } from "../chain/executor.ts";
import type { HeaderEdit } from "../chain/header-table.ts";
import { RequestMessage, type ResponseMessage } from "../chain/messages.ts";
import {
  CommonResponse_ResponseStatus,
  type CommonResponseSchema,
} from "../gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import { modeOverride } from "./body-mode.ts";
import { type Answer, encodeAnswer } from "./codec.ts";
import type { MessageKind } from "./phases.ts";

const NOTHING_MORE = modeOverride({ requestBody: false, response: false, responseBody: false });
const RESPONSE = modeOverride({ requestBody: false, response: true, responseBody: false });

/** The answer to a message that nobody asked for, by its kind. */
const CONTINUE: Readonly<Record<MessageKind, Uint8Array>> = {
  request_headers: encodeAnswer({
    response: { case: "requestHeaders", value: { response: {} } },
    modeOverride: NOTHING_MORE,
  }),
  request_body: encodeAnswer({ response: { case: "requestBody", value: { response: {} } } }),
  request_trailers: encodeAnswer({ response: { case: "requestTrailers", value: {} } }),
  response_headers: encodeAnswer({
    response: { case: "responseHeaders", value: { response: {} } },
    modeOverride: NOTHING_MORE,
  }),
  response_body: encodeAnswer({ response: { case: "responseBody", value: { response: {} } } }),
  response_trailers: encodeAnswer({ response: { case: "responseTrailers", value: {} } }),
};

const CONTINUE_TO_RESPONSE = encodeAnswer({
  response: { case: "requestHeaders", value: { response: {} } },
  modeOverride: RESPONSE,
});

/** "Go on as you are", and for headers: "send nothing more of this exchange". */
export function continueAnswer(kind: MessageKind): Uint8Array {
  return CONTINUE[kind];
}

/** The answer to request headers after the request steps have run, as far as they can without a body. */
export function requestAnswer(exchange: Exchange): Uint8Array {
  const { request, chain, suspended } = exchange;
  const wantsResponse = chain.response.length > 0;
  const common = commonResponse(request);
  const dynamicMetadata = metadataOf(exchange);
  if (common === undefined && dynamicMetadata === undefined && !suspended.request) {
    return wantsResponse ? CONTINUE_TO_RESPONSE : CONTINUE.request_headers;
  }
  return encodeAnswer({
    response: { case: "requestHeaders", value: { response: replacing(common) } },
    modeOverride: modeOverride({
      requestBody: suspended.request,
      response: wantsResponse,
      responseBody: false,
    }),
    ...(dynamicMetadata && { dynamicMetadata }),
  });
}

/** The answer to response headers after the response steps have run, as far as they can without a body. */
export function responseAnswer(exchange: Exchange): Uint8Array {
  const { suspended } = exchange;
  const response = exchange.response!;
  const common = commonResponse(response);
  const dynamicMetadata = metadataOf(exchange);
  if (common === undefined && dynamicMetadata === undefined && !suspended.response)
    return CONTINUE.response_headers;
  return encodeAnswer({
    response: { case: "responseHeaders", value: { response: replacing(common) } },
    modeOverride: modeOverride({ requestBody: false, response: true, responseBody: suspended.response }),
    ...(dynamicMetadata && { dynamicMetadata }),
  });
}

/** The answer to a body that was waited for, after the steps that waited have run. */
export function bodyAnswer(exchange: Exchange, direction: "request" | "response"): Uint8Array {
  const message = direction === "request" ? exchange.request : exchange.response!;
  const common = commonResponse(message);
  const dynamicMetadata = metadataOf(exchange);
  if (common === undefined && dynamicMetadata === undefined) return CONTINUE[`${direction}_body`];
  return encodeAnswer({
    response: { case: `${direction}Body`, value: { response: common ?? {} } },
    ...(dynamicMetadata && { dynamicMetadata }),
  });
}

/** The answer to trailers that came in the place of a body; changes of the message are too late there. */
export function trailersAnswer(exchange: Exchange, direction: "request" | "response"): Uint8Array {
  const dynamicMetadata = metadataOf(exchange);
  if (dynamicMetadata === undefined) return CONTINUE[`${direction}_trailers`];
  return encodeAnswer({ response: { case: `${direction}Trailers`, value: {} }, dynamicMetadata });
}

type CommonResponse = MessageInitShape<typeof CommonResponseSchema>;

/** What policies changed in a message since the last answer; undefined when nothing. */
function commonResponse(message: RequestMessage | ResponseMessage): CommonResponse | undefined {
  const clearRouteCache = message instanceof RequestMessage && message.reroute;
  const edits = message.edits();
  const content = message.newContent;
  message.settle();
  if (edits.length === 0 && content === undefined) return undefined;
  return {
    headerMutation: mutationOf(edits),
    clearRouteCache,
    ...(content !== undefined && {
      bodyMutation: {
        mutation:
          content.length === 0 ? { case: "clearBody", value: true } : { case: "body", value: content },
      },
    }),
  };
}

/** In an answer to headers, a body goes along only in the place of all that would still come. */
function replacing(common: CommonResponse = {}): CommonResponse {
  if (common.bodyMutation === undefined) return common;
  return { ...common, status: CommonResponse_ResponseStatus.CONTINUE_AND_REPLACE };
}

/** The answer that ends an exchange. It may be given to any message, and is the last of its stream. */
export function immediateAnswer(
  denial: Denial,
  options: { method: string; exchange?: Exchange },
): Uint8Array {
  const { response, grpcStatus, details } = denial;
  const dynamicMetadata = options.exchange === undefined ? undefined : metadataOf(options.exchange);
  // Envoy holds no headers of this answer yet: every line is news to it.
  const seen = new Set<string>();
  const edits = response.headers.lines().map((line): HeaderEdit => {
    const kind = seen.has(line.name) ? "append" : "overwrite";
    seen.add(line.name);
    return { kind, name: line.name, value: line.bytes };
  });
  return encodeAnswer({
    response: {
      case: "immediateResponse",
      value: {
        status: { code: response.status },
        headers: mutationOf(edits),
        body: denialBody(denial, options.method),
        ...(grpcStatus !== undefined && { grpcStatus: { status: grpcStatus } }),
        details,
      },
    },
    ...(dynamicMetadata && { dynamicMetadata }),
  });
}

type HeaderMutation = NonNullable<
  Extract<Answer["response"], { case: "immediateResponse" }>["value"]["headers"]
>;

function mutationOf(edits: readonly HeaderEdit[]): HeaderMutation {
  const removeHeaders: string[] = [];
  const setHeaders: { header: { key: string; rawValue: Uint8Array }; append: boolean }[] = [];
  for (const edit of edits) {
    if (edit.kind === "remove") removeHeaders.push(edit.name);
    else
      setHeaders.push({ header: { key: edit.name, rawValue: edit.value }, append: edit.kind === "append" });
  }
  return { setHeaders, removeHeaders };
}

/** Takes what policies want Envoy to keep; each answer carries what came since the one before. */
function metadataOf(exchange: Exchange): JsonObject | undefined {
  const { dynamicMetadata } = exchange;
  const namespaces = Object.keys(dynamicMetadata);
  if (namespaces.length === 0) return undefined;
  const taken: JsonObject = Object.create(null);
  for (const namespace of namespaces) {
    taken[namespace] = dynamicMetadata[namespace] as JsonObject;
    delete dynamicMetadata[namespace];
  }
  return taken;
}
