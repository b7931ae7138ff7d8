import { STATUS_CODES } from "node:http";
import type { ImmediateResponse } from "@policy-engine/sdk";
import { detailsOf } from "../../sdk/respond.ts";
import { headerOperations } from "./changes.ts";
import { type HeaderLine, headerList } from "./header-list.ts";
import { type DynamicMetadata, isBodiless, ResponseMessage } from "./messages.ts";

/** Why the engine itself refused an exchange. Part of the interface: in bodies, logs and metrics. */
export type ReasonCode =
  /** A policy threw, rejected or returned nonsense. */
  | "policy_failed"
  /** A policy's hook took longer than its `timeout`, or than was left of the message's budget. */
  | "policy_timeout"
  /** The budget of a message was spent before all of its steps had run. */
  | "message_timeout"
  /** The condition of a policy could not be evaluated, and its `conditionError` is `deny`. */
  | "condition_failed"
  /** No configuration has been applied yet. */
  | "not_ready"
  /** The route is configured, but has never been valid. */
  | "route_unavailable"
  /** The route is not configured and `onUnknownRoute` is `deny`. */
  | "unknown_route"
  /** The request names no route. */
  | "missing_route_key"
  /** Envoy's messages came in an order in which a step would have been skipped. */
  | "out_of_order"
  /** Envoy asked for a way of sending bodies that the engine refuses. */
  | "unsupported_body_mode"
  /** A body is larger than `limits.bodyBytes`, as it came or decoded. */
  | "body_too_large"
  /** All of `limits.bodyMemory` is in use. */
  | "body_memory_exhausted"
  /** A body did not come within `limits.bodyWait`. */
  | "body_timeout"
  /** A policy needs a body that cannot be waited for. */
  | "body_unbufferable"
  /** A policy changed what Envoy has sent on already. */
  | "change_too_late"
  /** A fault of the engine. */
  | "internal_error";

/** An answer to the client in place of the upstream's. */
export interface Denial {
  /** `denied`: by a policy's decision. `failed`: by a fault. */
  readonly outcome: "denied" | "failed";
  /** A {@link ReasonCode}, or the reason a policy gave. */
  readonly reason: string;
  /** Status, headers and body, open to policies that apply to denials. */
  readonly response: ResponseMessage;
  readonly grpcStatus: number | undefined;
  /** For Envoy's `%RESPONSE_CODE_DETAILS%`. */
  readonly details: string;
  /** The policy that decided, or failed; undefined where it was none. */
  readonly decider: Decider | undefined;
  /** Leads to the line in the log; undefined for a policy's decision. */
  readonly errorId: string | undefined;
  /** What Envoy is to keep of the decision, if that is configured. */
  readonly metadata: DynamicMetadata | undefined;
  /** The bytes of a problem document as they were made for the status that it had then. */
  readonly problem: Uint8Array | undefined;
}

/** The policy that decided. */
export interface Decider {
  readonly name: string;
  readonly version: string;
}

/** How denials look, by configuration. */
export interface DenialStyle {
  /** Bodies of the engine's own: `text` is `reason error-id`, `problem` is JSON as of RFC 9457. */
  readonly format: "text" | "problem";
  /** The namespace of Envoy's dynamic metadata in which denials leave their reason; undefined: nowhere. */
  readonly metadataNamespace: string | undefined;
}

/** Text, and no metadata. */
export const PLAIN_DENIALS: DenialStyle = { format: "text", metadataNamespace: undefined };

const encoder = new TextEncoder();
const EMPTY = new Uint8Array(0);
const TEXT: HeaderLine = { name: "content-type", value: "text/plain" };
const PROBLEM: HeaderLine = { name: "content-type", value: "application/problem+json" };

/**
 * The denial that a policy asked for.
 * @throws {TypeError} If a header of it is none.
 */
export function denialOf(
  response: ImmediateResponse,
  decider: Decider,
  style: DenialStyle = PLAIN_DENIALS,
): Denial {
  const { status, headers, body, reason = "denied", grpcStatus } = detailsOf(response);
  const lines = headerOperations("headers", headers).flatMap(({ name, values }) =>
    values.map((value): HeaderLine => ({ name, value })),
  );
  if (body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array)) {
    throw new TypeError("Cannot respond with the body: it is neither text nor bytes");
  }
  // A copy: the policy may go on writing into its own while other hooks look at the denial.
  const bytes = typeof body === "string" ? encoder.encode(body) : new Uint8Array(body ?? EMPTY);
  if (bytes.length > 0 && !lines.some((line) => line.name === "content-type")) lines.push(TEXT);
  const facts = { outcome: "denied", reason, decider, errorId: undefined } as const;
  return denial(facts, { status, lines, body: bytes, grpcStatus }, style);
}

/** A denial of the engine's own, whose body names the reason and the error id, and nothing else. */
export function engineDenial(
  status: number,
  reason: ReasonCode,
  options: { errorId: string; decider?: Decider | undefined; style?: DenialStyle | undefined },
): Denial {
  const { errorId, decider, style = PLAIN_DENIALS } = options;
  const facts = { outcome: "failed", reason, decider, errorId } as const;
  const answer =
    style.format === "problem"
      ? { lines: [PROBLEM], body: problemBody(status, facts) }
      : { lines: [TEXT], body: encoder.encode(`${reason} ${errorId}`) };
  return denial(facts, { status, grpcStatus: undefined, ...answer }, style);
}

/** A short random id that leads from a client's report to the line in the log. */
export function newErrorId(): string {
  return crypto.getRandomValues(Buffer.alloc(8)).toString("hex");
}

/** The answer's body for this exchange: none where HTTP forbids one, as it would corrupt the connection. */
export function denialBody(denial: Denial, method: string): Uint8Array {
  const { status, body } = denial.response;
  if (method === "HEAD" || isBodiless(status)) return EMPTY;
  // A policy that applies to denials may have changed the status, which the document tells.
  return denial.problem !== undefined && body.content === denial.problem
    ? problemBody(status, denial)
    : body.content;
}

type DenialFacts = Pick<Denial, "outcome" | "reason" | "decider" | "errorId">;

interface DenialAnswer {
  readonly status: number;
  readonly lines: readonly HeaderLine[];
  readonly body: Uint8Array;
  readonly grpcStatus: number | undefined;
}

function denial(facts: DenialFacts, answer: DenialAnswer, style: DenialStyle): Denial {
  const { reason, decider } = facts;
  const { status, lines, body, grpcStatus } = answer;
  const by = decider === undefined ? "" : `:${decider.name}:${decider.version}`;
  const response = new ResponseMessage({ status, lines: headerList(lines), hasBody: true });
  response.body.arrive(body);
  return {
    outcome: facts.outcome,
    reason,
    decider,
    errorId: facts.errorId,
    response,
    grpcStatus,
    details: `policy_engine:${reason}${by}`,
    metadata: metadataOf(facts, style),
    problem: lines[0] === PROBLEM ? body : undefined,
  };
}

function problemBody(status: number, { reason, errorId }: DenialFacts): Uint8Array {
  const title = STATUS_CODES[status];
  return encoder.encode(JSON.stringify({ type: "about:blank", title, status, reason, error_id: errorId }));
}

function metadataOf(
  { outcome, reason, decider, errorId }: DenialFacts,
  { metadataNamespace }: DenialStyle,
): DynamicMetadata | undefined {
  if (metadataNamespace === undefined) return undefined;
  const decision = {
    outcome,
    reason,
    ...(decider !== undefined && { policy: decider.name, version: decider.version }),
    ...(errorId !== undefined && { error_id: errorId }),
  };
  return { [metadataNamespace]: decision };
}
