// What policies decided, as answers that Envoy understands. Every answer names the kind of the message it
// answers, also when nothing changes; values go into raw_value, which is all that Envoy reads.
import type { JsonObject } from "@bufbuild/protobuf";
import { type Denial, denialBody } from "../chain/denial.ts";
import type { Exchange } from "../chain/executor.ts";
import type { HeaderEdit } from "../chain/header-table.ts";
import { CommonResponse_ResponseStatus } from "../gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import { headersOnly } from "./body-mode.ts";
import { type Answer, encodeAnswer } from "./codec.ts";
import type { MessageKind } from "./phases.ts";

const WITH_RESPONSE = headersOnly({ response: true });
const WITHOUT_RESPONSE = headersOnly({ response: false });
/** Takes away the body that would follow the headers. */
const WITHOUT_BODY = {
  status: CommonResponse_ResponseStatus.CONTINUE_AND_REPLACE,
  bodyMutation: { mutation: { case: "clearBody", value: true } },
} as const;

/** The answer to a message that nobody asked for, by its kind. */
const CONTINUE: Readonly<Record<MessageKind, Uint8Array>> = {
  request_headers: encodeAnswer({
    response: { case: "requestHeaders", value: { response: {} } },
    modeOverride: WITHOUT_RESPONSE,
  }),
  request_body: encodeAnswer({ response: { case: "requestBody", value: { response: {} } } }),
  request_trailers: encodeAnswer({ response: { case: "requestTrailers", value: {} } }),
  response_headers: encodeAnswer({
    response: { case: "responseHeaders", value: { response: {} } },
    modeOverride: WITHOUT_RESPONSE,
  }),
  response_body: encodeAnswer({ response: { case: "responseBody", value: { response: {} } } }),
  response_trailers: encodeAnswer({ response: { case: "responseTrailers", value: {} } }),
};

const CONTINUE_TO_RESPONSE = encodeAnswer({
  response: { case: "requestHeaders", value: { response: {} } },
  modeOverride: WITH_RESPONSE,
});

/** "Go on as you are", and for headers: "send nothing more of this exchange". */
export function continueAnswer(kind: MessageKind): Uint8Array {
  return CONTINUE[kind];
}

/** The answer to request headers after the request steps have run. */
export function requestAnswer(exchange: Exchange): Uint8Array {
  const { request, chain } = exchange;
  const reroute = request.reroute;
  const edits = request.edits();
  const dynamicMetadata = metadataOf(exchange);
  const wantsResponse = chain.response.length > 0;
  request.settle();
  if (edits.length === 0 && dynamicMetadata === undefined) {
    return wantsResponse ? CONTINUE_TO_RESPONSE : CONTINUE.request_headers;
  }
  return encodeAnswer({
    response: {
      case: "requestHeaders",
      value: { response: { headerMutation: mutationOf(edits), clearRouteCache: reroute } },
    },
    modeOverride: wantsResponse ? WITH_RESPONSE : WITHOUT_RESPONSE,
    ...(dynamicMetadata && { dynamicMetadata }),
  });
}

/** The answer to response headers after the response steps have run. */
export function responseAnswer(exchange: Exchange): Uint8Array {
  const edits = exchange.response?.edits() ?? [];
  const dropsBody = exchange.response?.dropsBody ?? false;
  const dynamicMetadata = metadataOf(exchange);
  exchange.response?.settle();
  if (edits.length === 0 && dynamicMetadata === undefined) return CONTINUE.response_headers;
  return encodeAnswer({
    response: {
      case: "responseHeaders",
      value: { response: { headerMutation: mutationOf(edits), ...(dropsBody && WITHOUT_BODY) } },
    },
    modeOverride: WITHOUT_RESPONSE,
    ...(dynamicMetadata && { dynamicMetadata }),
  });
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
