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

/** Everything that happens for one origin, made beforehand. */
interface Answers {
  readonly preflight: ImmediateResponse;
  readonly privatePreflight: ImmediateResponse;
  readonly response: HeaderChanges;
  /** The same, where `vary` does not name the origin yet. */
  readonly responseVarying: HeaderChanges;
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
  const known = new Map(exact.map((origin) => [origin, answersFor(origin, params)]));
  const everyone = any ? answersFor("*", params) : undefined;
  const nobody = noAnswers(any);

  function answersTo(headers: HeadersView): Answers | undefined {
    const lines = headers.getAll("origin");
    const [origin] = lines;
    if (origin === undefined || lines.length > 1) return undefined;
    if (everyone !== undefined) return everyone;
    return known.get(origin) ?? (matches(origin) ? answersFor(origin, params) : undefined);
  }

  return {
    onRequest(ctx): RequestResult {
      const { headers } = ctx.original;
      if (!isPreflight(ctx.original.method, headers)) return;
      const answers = answersTo(headers);
      if (answers === undefined) return refused;
      const wantsPrivate = headers.get("access-control-request-private-network") === "true";
      return wantsPrivate && params.privateNetwork ? answers.privatePreflight : answers.preflight;
    },
    onResponse(ctx): ResponseResult {
      const { original } = ctx.request;
      // The answer to a preflight is complete, be it this policy's own or that of one in front of it.
      if (ctx.denied && isPreflight(original.method, original.headers)) return;
      const { response, responseVarying } = answersTo(original.headers) ?? nobody;
      return any || varies(ctx.headers) ? response : responseVarying;
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

function answersFor(origin: string, params: Params): Answers {
  const { methods, headers, exposeHeaders, credentials, maxAge } = params;
  const shared = {
    "access-control-allow-origin": origin,
    ...(credentials && { "access-control-allow-credentials": "true" }),
  };
  const preflight = {
    ...shared,
    "access-control-allow-methods": methods.join(", "),
    ...(headers.length > 0 && { "access-control-allow-headers": headers.join(", ") }),
    "access-control-max-age": String(maxAge),
    vary: PREFLIGHT_VARY,
  };
  const privately = { ...preflight, "access-control-allow-private-network": "true" };
  const response = {
    removeHeaders: CORS_HEADERS,
    setHeaders: {
      ...shared,
      ...(exposeHeaders.length > 0 && { "access-control-expose-headers": exposeHeaders.join(", ") }),
    },
  };
  return {
    preflight: respond(204, { headers: preflight, reason: "preflight" }),
    privatePreflight: respond(204, { headers: privately, reason: "preflight" }),
    response,
    responseVarying: { ...response, appendHeaders: { vary: "Origin" } },
  };
}

/** For requests without origin too: a cache must not give what they get to a page of another origin. */
function noAnswers(any: boolean): Pick<Answers, "response" | "responseVarying"> {
  const response = { removeHeaders: CORS_HEADERS };
  return { response, responseVarying: any ? response : { ...response, appendHeaders: { vary: "Origin" } } };
}

function varies(headers: HeadersView): boolean {
  const vary = headers.get("vary");
  if (vary === undefined) return false;
  return vary.split(",").some((name) => name.trim() === "*" || name.trim().toLowerCase() === "origin");
}
