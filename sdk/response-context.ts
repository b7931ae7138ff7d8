import type { ContextBase } from "./context.ts";
import type { HeadersView } from "./headers.ts";
import type { RequestContext } from "./request-context.ts";

/**
 * The request's data, read-only, as it was sent to the upstream; empty where Envoy did not send it. Its body is there
 * only for a policy that asks for it in its definition and has an `onRequest` hook: for others nothing waits for it.
 */
export type RequestView = Pick<
  RequestContext,
  | "method"
  | "path"
  | "rawPath"
  | "rawQuery"
  | "query"
  | "authority"
  | "scheme"
  | "headers"
  | "original"
  | "body"
  | "text"
  | "json"
  | "client"
  | "attributes"
>;

/** What `onResponse` sees: the response as the policies before it left it. */
export interface ResponseContext extends ContextBase {
  readonly request: RequestView;
  /** The status, 100 to 599. */
  readonly status: number;
  readonly headers: HeadersView;
  /** The body, or null unless the definition asks for it with `requiresResponseBody`. */
  readonly body: Uint8Array | null;
  /** The body as text (UTF-8); null when there is no body to read. Decoded once. */
  text(): string | null;
  /**
   * The body parsed as JSON; null when there is no body to read. Parsed once, shared: do not change it.
   * @throws {SyntaxError} If the body is not JSON.
   */
  json(): unknown;
  /** Aborted when this hook's time is over, and when the client or Envoy goes away while it works. */
  readonly signal: AbortSignal;
  /**
   * Whether this response is a denial of the engine's own, by a policy or by a fault. Only policies whose
   * definition says `appliesToDenials: true` ever see one.
   */
  readonly denied: boolean;
}
