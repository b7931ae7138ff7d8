import type { EngineLogger } from "../observability/log.ts";

/** A page's answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Shows something, anew for every request. */
export type HttpPage = () => HttpAnswer;

/** A page on which something can be changed. */
export interface WritablePage {
  readonly get: HttpPage;
  /** Takes the body of a PUT as text, at most 1 KiB. */
  put(body: string): HttpAnswer;
}

/** Pages by path. */
export type HttpPages = Readonly<Record<string, HttpPage | WritablePage>>;

/** Where a server listens: a host and port, or the path of a Unix socket. */
export type HttpEndpoint = { readonly hostname: string; readonly port: number } | { readonly unix: string };

export interface HttpServerSettings {
  readonly endpoint: HttpEndpoint;
  readonly pages: HttpPages;
  readonly log: EngineLogger;
  /**
   * Answers only requests whose `Host` is an IP address or `localhost`: a web page that resolves its own name to
   * this machine cannot read ours through the operator's browser. Default: false.
   */
  readonly localHostsOnly?: boolean;
}

/** A server of a few small pages. */
export interface HttpServer {
  /** `host:port` with the real port, or `unix:/path`. */
  readonly address: string;
  /** Stops at once: nothing here is worth waiting for. */
  stop(): Promise<void>;
}

export const JSON_TYPE = "application/json; charset=utf-8";
export const TEXT_TYPE = "text/plain; charset=utf-8";

/** What is written here is a word or two; the server refuses more by itself. */
const MAX_BODY_BYTES = 1024;
/** A probe that takes longer has given up. */
const IDLE_SECONDS = 10;

/**
 * Starts a server that answers GET and HEAD, and PUT where a page can be changed.
 * @throws {Error} If it cannot listen; the error has a `code` such as `EADDRINUSE`.
 */
export function startHttpServer({ endpoint, pages, log, localHostsOnly }: HttpServerSettings): HttpServer {
  const common = {
    maxRequestBodySize: MAX_BODY_BYTES,
    development: false,
    fetch: (request: Request): Response | Promise<Response> => {
      if (localHostsOnly === true && !isLocalHost(request.headers.get("host")))
        return plain(403, "Forbidden");
      return answer(request, pages);
    },
    error: (error: Error): Response => {
      log.repeated("error", "Cannot answer an HTTP request", { error });
      return plain(500, "Internal error");
    },
  };
  if ("unix" in endpoint) {
    const server = Bun.serve({ ...common, unix: endpoint.unix });
    return { address: `unix:${endpoint.unix}`, stop: () => server.stop(true) };
  }
  const { hostname, port } = endpoint;
  const server = Bun.serve({
    ...common,
    hostname,
    port,
    // Bun's default outside development is to share a port with whoever else has it.
    reusePort: false,
    idleTimeout: IDLE_SECONDS,
  });
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return { address: `${host}:${server.port}`, stop: () => server.stop(true) };
}

/** An answer that is JSON, with a line feed for those who read it in a terminal. */
export function jsonAnswer(status: number, value: unknown): HttpAnswer {
  return { status, contentType: JSON_TYPE, body: `${JSON.stringify(value, undefined, 2)}\n` };
}

function answer(request: Request, pages: HttpPages): Response | Promise<Response> {
  const path = pathOf(request.url);
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (page === undefined) return plain(404, "Not found");
  const { method } = request;
  if (method === "GET" || method === "HEAD") return respond(typeof page === "function" ? page() : page.get());
  if (typeof page === "function") return plain(405, "Method not allowed", { allow: "GET, HEAD" });
  if (method !== "PUT") return plain(405, "Method not allowed", { allow: "GET, HEAD, PUT" });
  return request.text().then((body) => respond(page.put(body)));
}

function respond({ status, contentType, body }: HttpAnswer): Response {
  return new Response(body, { status, headers: headers(contentType) });
}

/** Not by `URL`: a probe of HTTP/1.0 names no host, and a client may name one that is none. */
function pathOf(url: string): string {
  return /^(?:[a-z]+:\/\/[^/?#]*)?([^?#]*)/i.exec(url)?.[1] ?? "";
}

function plain(status: number, text: string, more?: Record<string, string>): Response {
  return new Response(`${text}\n`, { status, headers: { ...headers(TEXT_TYPE), ...more } });
}

function headers(contentType: string): Record<string, string> {
  return { "content-type": contentType, "cache-control": "no-store", "x-content-type-options": "nosniff" };
}

function isLocalHost(host: string | null): boolean {
  const name = (host ?? "").replace(/:\d+$/, "");
  return (
    name === "" || name === "localhost" || /^\d+(\.\d+){3}$/.test(name) || /^\[[0-9a-f:.]+\]$/i.test(name)
  );
}
