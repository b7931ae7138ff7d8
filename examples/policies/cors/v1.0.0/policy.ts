import {
  type HeaderChanges,
  type HeadersView,
  type ImmediateResponse,
  type PolicyFactory,
  type RequestResult,
  type ResponseResult,
  respond,
} from "@policy-engine/sdk";
import { originProblems, parseOrigins } from "./origins.ts";
import type { Params } from "./params.gen.ts";

/** Headers that are this policy's to give: an upstream's own never reach the client. */
const CORS_HEADERS = [
  "access-control-allow-credentials",
  "access-control-allow-headers",
  "access-control-allow-methods",
  "access-control-allow-origin",
  "access-control-allow-private-network",
  "access-control-expose-headers",
  "access-control-max-age",
];
const PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

interface Preflights {
  readonly usual: ImmediateResponse;
  /** For a page of a public network that asks for one of a private network. */
  readonly privately: ImmediateResponse;
}

interface Responses {
  readonly usual: HeaderChanges;
  /** Where `vary` does not name the origin yet. */
  readonly varying: HeaderChanges;
}

const refused = respond(403, {
  headers: { vary: PREFLIGHT_VARY },
  body: "Origin not allowed",
  reason: "origin_not_allowed",
});

/**
 * Cross-origin resource sharing (Fetch standard, section 3.2). A preflight is answered here and never reaches the
 * upstream. Every other request passes: it is the browser that keeps a response from a page of another origin.
 */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const { any, exact, matches } = parseOrigins(params.origins);
  // Made beforehand for the origins that are known; those that a pattern allows have no end.
  const fixed = any ? ["*"] : exact;
  const preflights = new Map(fixed.map((origin) => [origin, preflightsFor(origin, params)]));
  const responses = new Map(fixed.map((origin) => [origin, responsesFor(origin, params)]));
  const others = responsesForOthers();

  /** What `access-control-allow-origin` is to say; undefined where nothing is allowed. */
  function allowed(headers: HeadersView): string | undefined {
    // Without an origin too: nothing varies, so a cache gives that response to pages.
    if (any) return "*";
    const lines = headers.getAll("origin");
    const [origin] = lines;
    if (origin === undefined || lines.length > 1) return undefined;
    return responses.has(origin) || matches(origin) ? origin : undefined;
  }

  return {
    onRequest(ctx): RequestResult {
      const { method, headers } = ctx.original;
      if (!isPreflight(method, headers)) return;
      const origin = allowed(headers);
      if (origin === undefined) return refused;
      const { usual, privately } = preflights.get(origin) ?? preflightsFor(origin, params);
      const asked = headers.get("access-control-request-private-network") === "true";
      return asked && params.privateNetwork ? privately : usual;
    },
    onResponse(ctx): ResponseResult {
      const { method, headers } = ctx.request.original;
      // The answer to a preflight is complete, be it this policy's own or that of one in front of it.
      if (ctx.denied && isPreflight(method, headers)) return;
      const origin = allowed(headers);
      const { usual, varying } =
        origin === undefined ? others : (responses.get(origin) ?? responsesFor(origin, params));
      return any || varies(ctx.headers) ? usual : varying;
    },
  };
};

/** What the schema cannot say. */
export function validate(params: Params): string[] {
  const problems = originProblems(params.origins);
  const { methods, credentials } = params;
  if (methods.includes("*") && methods.length > 1)
    problems.push('methods has "*" and others: "*" is needed alone');
  if (!credentials) return problems;
  for (const key of ["origins", "methods", "headers", "exposeHeaders"] as const) {
    if (params[key].includes("*"))
      problems.push(`${key} has "*", which browsers do not take together with credentials: a list is needed`);
  }
  return problems;
}

function isPreflight(method: string, headers: HeadersView): boolean {
  return method === "OPTIONS" && headers.has("origin") && headers.has("access-control-request-method");
}

function preflightsFor(origin: string, params: Params): Preflights {
  const { methods, headers, maxAge } = params;
  const usual = {
    ...allowing(origin, params),
    "access-control-allow-methods": methods.join(", "),
    ...(headers.length > 0 && { "access-control-allow-headers": headers.join(", ") }),
    "access-control-max-age": String(maxAge),
    vary: PREFLIGHT_VARY,
  };
  const privately = { ...usual, "access-control-allow-private-network": "true" };
  return {
    usual: respond(204, { headers: usual, reason: "preflight" }),
    privately: respond(204, { headers: privately, reason: "preflight" }),
  };
}

function responsesFor(origin: string, params: Params): Responses {
  const { exposeHeaders } = params;
  const setHeaders = {
    ...allowing(origin, params),
    ...(exposeHeaders.length > 0 && { "access-control-expose-headers": exposeHeaders.join(", ") }),
  };
  const usual = { removeHeaders: CORS_HEADERS, setHeaders };
  return { usual, varying: { ...usual, appendHeaders: { vary: "Origin" } } };
}

/** For requests without origin too: a cache must not give what they get to a page of another origin. */
function responsesForOthers(): Responses {
  const usual = { removeHeaders: CORS_HEADERS };
  return { usual, varying: { ...usual, appendHeaders: { vary: "Origin" } } };
}

function allowing(origin: string, { credentials }: Params): Record<string, string> {
  const header = { "access-control-allow-origin": origin };
  return credentials ? { ...header, "access-control-allow-credentials": "true" } : header;
}

function varies(headers: HeadersView): boolean {
  const vary = headers.get("vary");
  if (vary === undefined) return false;
  return vary.split(",").some((name) => name.trim() === "*" || name.trim().toLowerCase() === "origin");
}
