// What policies decided, as answers that Envoy understands. Every answer names the kind of the message it
// answers, also when nothing changes.
import { type Denial, denialBody } from "../chain/denial.ts";
import type { Exchange } from "../chain/executor.ts";
import type { HeaderEdit } from "../chain/header-table.ts";
import { RequestMessage, type ResponseMessage } from "../chain/messages.ts";
import { modeOverride } from "./body-mode.ts";
import { constantAnswer, type EncodedAnswer, encodeAnswer } from "./encode-answer.ts";
import type { MessageKind } from "./phases.ts";
import type { JsonObject } from "./wire/write-struct.ts";

const NOTHING_MORE = modeOverride({ requestBody: false, response: false, responseBody: false });
const RESPONSE = modeOverride({ requestBody: false, response: true, responseBody: false });

/** The answer to a message that nobody asked for, by its kind. */
const CONTINUE: Readonly<Record<MessageKind, EncodedAnswer>> = {
  request_headers: constantAnswer({ kind: "request_headers", modeOverride: NOTHING_MORE }),
  request_body: constantAnswer({ kind: "request_body" }),
  request_trailers: constantAnswer({ kind: "request_trailers" }),
  response_headers: constantAnswer({ kind: "response_headers", modeOverride: NOTHING_MORE }),
  response_body: constantAnswer({ kind: "response_body" }),
  response_trailers: constantAnswer({ kind: "response_trailers" }),
};

const CONTINUE_TO_RESPONSE = constantAnswer({ kind: "request_headers", modeOverride: RESPONSE });

/** "Go on as you are", and for headers: "send nothing more of this exchange". */
export function continueAnswer(kind: MessageKind): EncodedAnswer {
  return CONTINUE[kind];
}

/** The answer to request headers after the request steps have run, as far as they can without a body. */
export function requestAnswer(exchange: Exchange): EncodedAnswer {
  const { request, chain, suspended } = exchange;
  const wantsResponse = chain.response.length > 0;
  const changes = changesOf(request);
  const dynamicMetadata = metadataOf(exchange);
  if (changes === undefined && dynamicMetadata === undefined && !suspended.request) {
    return wantsResponse ? CONTINUE_TO_RESPONSE : CONTINUE.request_headers;
  }
  const wants = { requestBody: suspended.request, response: wantsResponse, responseBody: false };
  return encodeAnswer({
    kind: "request_headers",
    edits: changes?.edits,
    body: changes?.body,
    clearRouteCache: changes?.clearRouteCache,
    modeOverride: modeOverride(wants),
    dynamicMetadata,
  });
}

/** The answer to response headers after the response steps have run, as far as they can without a body. */
export function responseAnswer(exchange: Exchange): EncodedAnswer {
  const { suspended } = exchange;
  const changes = changesOf(exchange.response!);
  const dynamicMetadata = metadataOf(exchange);
  if (changes === undefined && dynamicMetadata === undefined && !suspended.response)
    return CONTINUE.response_headers;
  const wants = { requestBody: false, response: true, responseBody: suspended.response };
  return encodeAnswer({
    kind: "response_headers",
    edits: changes?.edits,
    body: changes?.body,
    modeOverride: modeOverride(wants),
    dynamicMetadata,
  });
}

/** The answer to a body that was waited for, after the steps that waited have run. */
export function bodyAnswer(exchange: Exchange, direction: "request" | "response"): EncodedAnswer {
  const changes = changesOf(direction === "request" ? exchange.request : exchange.response!);
  const dynamicMetadata = metadataOf(exchange);
  const kind = `${direction}_body` as const;
  if (changes === undefined && dynamicMetadata === undefined) return CONTINUE[kind];
  return encodeAnswer({ kind, ...changes, dynamicMetadata });
}

/** The answer to trailers that came in the place of a body; changes of the message are too late there. */
export function trailersAnswer(exchange: Exchange, direction: "request" | "response"): EncodedAnswer {
  const dynamicMetadata = metadataOf(exchange);
  const kind = `${direction}_trailers` as const;
  return dynamicMetadata === undefined ? CONTINUE[kind] : encodeAnswer({ kind, dynamicMetadata });
}

interface Changes {
  readonly edits: readonly HeaderEdit[];
  readonly body: Uint8Array | undefined;
  readonly clearRouteCache: boolean;
}

/** What policies changed in a message since the last answer; undefined when nothing. */
function changesOf(message: RequestMessage | ResponseMessage): Changes | undefined {
  const clearRouteCache = message instanceof RequestMessage && message.reroute;
  const edits = message.edits();
  const body = message.newContent;
  message.settle();
  return edits.length === 0 && body === undefined ? undefined : { edits, body, clearRouteCache };
}

/** The answer that ends an exchange. It may be given to any message, and is the last of its stream. */
export function immediateAnswer(
  denial: Denial,
  options: { method: string; exchange?: Exchange },
): EncodedAnswer {
  const { response, grpcStatus, details } = denial;
  // Envoy holds no headers of this answer yet: every line is news to it.
  const seen = new Set<string>();
  const edits = response.headers.lines().map((line): HeaderEdit => {
    const kind = seen.has(line.name) ? "append" : "overwrite";
    seen.add(line.name);
    return { kind, name: line.name, value: line.value };
  });
  return encodeAnswer({
    kind: "immediate_response",
    status: response.status,
    edits,
    body: denialBody(denial, options.method),
    grpcStatus,
    details,
    dynamicMetadata: withDecision(denial, options.exchange && metadataOf(options.exchange)),
  });
}

/** Adds the facts of a denial, over whatever policies left in their namespace. */
function withDecision({ metadata }: Denial, taken: JsonObject | undefined): JsonObject | undefined {
  if (metadata === undefined) return taken;
  const all: JsonObject = taken ?? Object.create(null);
  for (const [namespace, decision] of Object.entries(metadata)) {
    all[namespace] = { ...(all[namespace] as JsonObject | undefined), ...(decision as JsonObject) };
  }
  return all;
}

/** Takes what policies want Envoy to keep; each answer carries what came since the one before. */
function metadataOf(exchange: Exchange): JsonObject | undefined {
  const { dynamicMetadata } = exchange;
  let taken: JsonObject | undefined;
  for (const namespace in dynamicMetadata) {
    taken ??= Object.create(null) as JsonObject;
    taken[namespace] = dynamicMetadata[namespace] as JsonObject;
    delete dynamicMetadata[namespace];
  }
  return taken;
}
