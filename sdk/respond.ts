const details: unique symbol = Symbol.for("@policy-engine/sdk:immediate-response") as never;

/** What may be said of an answer, beside its status. */
export interface RespondOptions {
  /** Headers of the answer; a list becomes one line each. `content-type` is `text/plain` unless set here. */
  headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The body; text is sent as UTF-8. Default: none. Dropped where HTTP forbids one (HEAD, 204, 304). */
  body?: string | Uint8Array;
  /**
   * A short machine-readable reason such as `quota_exceeded`, for logs and for Envoy's
   * `%RESPONSE_CODE_DETAILS%` and dynamic metadata; letters, digits, `_`, `-` and `.`, at most 64. Clients never see it.
   * Default: `denied`.
   */
  reason?: string;
  /** The `grpc-status` that a gRPC client gets, 0 to 16. Default: what Envoy derives from the HTTP status. */
  grpcStatus?: number;
}

/** An answer to the client that ends the chain. Made by {@link respond}, and only by it. */
export interface ImmediateResponse {
  readonly [details]: Readonly<RespondOptions & { status: number }>;
}

/**
 * Answers the client now. No later policy of the chain runs and, from a request hook, nothing reaches the
 * upstream. From a response hook, the answer takes the place of the upstream's response.
 *
 * @param status The HTTP status, a whole number from 200 to 599.
 * @param options Headers, body and reason; see {@link RespondOptions}.
 * @returns A value to return from `onRequest` or `onResponse`.
 * @throws {RangeError} If the status or `grpcStatus` is out of range.
 * @throws {TypeError} If `reason` has other characters or is too long.
 *
 * @example
 * ```ts
 * import { respond, type Policy } from "@policy-engine/sdk";
 *
 * export const gate: Policy = {
 *   onRequest: (ctx) =>
 *     ctx.headers.has("x-api-key")
 *       ? undefined
 *       : respond(401, { body: "API key required", reason: "api_key_missing" }),
 * };
 * ```
 */
export function respond(status: number, options: RespondOptions = {}): ImmediateResponse {
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError(`Cannot respond with status ${status}: a whole number from 200 to 599 is needed`);
  }
  const { grpcStatus, reason } = options;
  if (grpcStatus !== undefined && !(Number.isInteger(grpcStatus) && grpcStatus >= 0 && grpcStatus <= 16)) {
    throw new RangeError(
      `Cannot respond with grpcStatus ${grpcStatus}: a whole number from 0 to 16 is needed`,
    );
  }
  if (reason !== undefined && !(typeof reason === "string" && /^[A-Za-z0-9_.-]{1,64}$/.test(reason))) {
    throw new TypeError(
      `Cannot respond with reason ${JSON.stringify(reason)}: 1 to 64 letters, digits, "_", "-" or "." are needed`,
    );
  }
  return { [details]: { ...options, status } };
}

/** Whether a hook's result is an answer made by {@link respond}; narrows the type. */
export function isImmediateResponse(value: unknown): value is ImmediateResponse {
  return typeof value === "object" && value !== null && details in value;
}

/** @private For the engine: what {@link respond} was called with. */
export function detailsOf(response: ImmediateResponse): Readonly<RespondOptions & { status: number }> {
  return response[details];
}
