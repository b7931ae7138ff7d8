import type { Attributes, Client, ContextBase } from "./context.ts";
import type { HeadersView } from "./headers.ts";

/** The request as it was received, whatever policies changed since. */
export interface OriginalRequest {
  readonly method: string;
  /** The path as it was received, with its query. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  readonly headers: HeadersView;
}

/** What `onRequest` sees: the request as the policies before it left it. */
export interface RequestContext extends ContextBase {
  /** The method, in the case it was sent in. */
  readonly method: string;
  /**
   * The path without query, normalised: unreserved characters decoded, dot segments resolved and repeated
   * slashes merged (RFC 3986 section 6.2.2), bytes that are not visible ASCII encoded. Decide by this one.
   */
  readonly path: string;
  /** The path without query, as it is sent to the upstream; one character a byte. */
  readonly rawPath: string;
  /** The query without `?`, as it is sent to the upstream; one character a byte. Empty when there is none. */
  readonly rawQuery: string;
  /** The query's parameters, decoded as UTF-8. A copy: changing it changes nothing. */
  readonly query: URLSearchParams;
  /** The authority (the `Host` of HTTP/1.1), with port if there is one. */
  readonly authority: string;
  /** `http` or `https`. */
  readonly scheme: string;
  readonly headers: HeadersView;
  readonly original: OriginalRequest;
  /** The body, or null unless the definition asks for it with `requiresRequestBody`. */
  readonly body: Uint8Array | null;
  /** The body as text (UTF-8); null when there is no body to read. Decoded once. */
  text(): string | null;
  /**
   * The body parsed as JSON; null when there is no body to read. Parsed once, shared: do not change it.
   * @throws {SyntaxError} If the body is not JSON.
   */
  json(): unknown;
  readonly client: Client;
  readonly attributes: Attributes;
  /**
   * Aborted when this hook's time is over, and when the client or Envoy goes away while it works. Pass it on to
   * whatever the hook waits for.
   */
  readonly signal: AbortSignal;
}
