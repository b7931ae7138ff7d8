import type { ImmediateResponse } from "./respond.ts";

/**
 * Changes to headers, the same in both directions. They are applied in this order, whatever the order of the
 * properties: remove, set, add if absent, append. The next policy sees the outcome.
 *
 * Names are compared without regard to case. A list of values becomes one header line each, in order; an empty
 * list sets nothing. `:`-headers, `host`, `content-length` and `transfer-encoding` cannot be set here: use
 * `path`, `method`, `authority`, `status` and `body`. Removing `content-length` and `transfer-encoding` is
 * refused too. A control character other than the tab in a value is a failure of the policy (RFC 9110 section
 * 5.5), and so are characters that a header name cannot have (section 5.1).
 */
export interface HeaderChanges {
  /** Takes these headers away, every line of them. */
  removeHeaders?: readonly string[];
  /** Replaces every line of these headers. */
  setHeaders?: Readonly<Record<string, string | readonly string[]>>;
  /** Sets these headers where there is no line of the name. */
  addHeadersIfAbsent?: Readonly<Record<string, string | readonly string[]>>;
  /** Adds lines to these headers and keeps those that are there. */
  appendHeaders?: Readonly<Record<string, string | readonly string[]>>;
}

/** What a request hook changes in the request on its way to the upstream. */
export interface RequestChanges extends HeaderChanges {
  /** The new body; `null` empties it. Needs `requiresRequestBody` in the policy's definition. */
  body?: Uint8Array | string | null;
  /** The new path: begins with `/`, no `?` and no `#`. The query stays as it is. */
  path?: string;
  /** The new query without `?`; `null` drops it. */
  query?: string | null;
  /**
   * The new method, a token such as `POST` (RFC 9110 section 9.1). A request that came as HEAD or CONNECT keeps
   * its method, and none becomes one: the client expects the response to the method it sent.
   */
  method?: string;
  /** The new authority (the `Host` of HTTP/1.1), such as `api.example.com:8443`. */
  authority?: string;
  /** Lets Envoy choose the route anew, for the request as changed. The policy chain stays. Default: false. */
  reroute?: boolean;
  /** Envoy dynamic metadata: namespace, key, value. Envoy must be told to accept the namespace. */
  dynamicMetadata?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** What a response hook changes in the response on its way to the client. */
export interface ResponseChanges extends HeaderChanges {
  /** The new body; `null` empties it. Needs `requiresResponseBody` in the policy's definition. */
  body?: Uint8Array | string | null;
  /**
   * The new status, 200 to 599. The body of the response is dropped where 204 or 304 forbids one. A 101 keeps
   * its status; `respond` can take its place.
   */
  status?: number;
  /** Envoy dynamic metadata: namespace, key, value. Envoy must be told to accept the namespace. */
  dynamicMetadata?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/**
 * What `onRequest` returns: changes, an answer made by `respond`, or nothing. Annotate the hook with it, so that
 * the compiler refuses unknown properties; the engine refuses them too, as a failure of the policy.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook without a return statement is the common case
export type RequestResult = RequestChanges | ImmediateResponse | void;

/** What `onResponse` returns: changes, an answer that takes the response's place, or nothing. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook without a return statement is the common case
export type ResponseResult = ResponseChanges | ImmediateResponse | void;
