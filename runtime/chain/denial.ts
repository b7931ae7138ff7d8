import type { ImmediateResponse } from "@policy-engine/sdk";
import { detailsOf } from "../../sdk/respond.ts";
import { headerRecord } from "./changes.ts";
import { HeaderLine } from "./header-table.ts";
import { isBodiless, ResponseMessage } from "./messages.ts";

/** Why the engine itself refused an exchange. Part of the interface: in bodies, logs and metrics. */
export type ReasonCode =
  /** A policy threw, rejected or returned nonsense. */
  | "policy_failed"
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
}

/** The policy that decided. */
export interface Decider {
  readonly name: string;
  readonly version: string;
}

const encoder = new TextEncoder();
const EMPTY = new Uint8Array(0);

/**
 * The denial that a policy asked for.
 * @throws {TypeError} If a header of it is none.
 */
export function denialOf(response: ImmediateResponse, decider: Decider): Denial {
  const { status, headers, body, reason = "denied", grpcStatus } = detailsOf(response);
  const lines = headerRecord("headers", headers).flatMap(([name, values]) =>
    values.map((value) => new HeaderLine(name, value)),
  );
  if (body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array)) {
    throw new TypeError("Cannot respond with the body: it is neither text nor bytes");
  }
  // A copy: the policy may go on writing into its own while other hooks look at the denial.
  const bytes = typeof body === "string" ? encoder.encode(body) : new Uint8Array(body ?? EMPTY);
  return denial({ outcome: "denied", status, reason, lines, body: bytes, grpcStatus, decider });
}

/** A denial of the engine's own: plain text that names the reason and the error id, and nothing else. */
export function engineDenial(
  status: number,
  reason: ReasonCode,
  options: { errorId: string; decider?: Decider },
): Denial {
  const body = encoder.encode(`${reason} ${options.errorId}`);
  return denial({
    outcome: "failed",
    status,
    reason,
    lines: [],
    body,
    grpcStatus: undefined,
    decider: options.decider,
  });
}

/** A short random id that leads from a client's report to the line in the log. */
export function newErrorId(): string {
  return crypto.getRandomValues(Buffer.alloc(8)).toString("hex");
}

/** The answer's body for this exchange: none where HTTP forbids one, as it would corrupt the connection. */
export function denialBody(denial: Denial, method: string): Uint8Array {
  return method === "HEAD" || isBodiless(denial.response.status) ? EMPTY : denial.response.body.content;
}

interface DenialParts {
  outcome: Denial["outcome"];
  status: number;
  reason: string;
  lines: HeaderLine[];
  body: Uint8Array;
  grpcStatus: number | undefined;
  decider: Decider | undefined;
}

function denial({ outcome, status, reason, lines, body, grpcStatus, decider }: DenialParts): Denial {
  if (body.length > 0 && !lines.some((line) => line.name === "content-type")) {
    lines.push(new HeaderLine("content-type", "text/plain"));
  }
  const by = decider === undefined ? "" : `:${decider.name}:${decider.version}`;
  const response = new ResponseMessage({ status, lines, hasBody: true });
  response.body.arrive(body);
  return { outcome, reason, response, grpcStatus, details: `policy_engine:${reason}${by}` };
}
