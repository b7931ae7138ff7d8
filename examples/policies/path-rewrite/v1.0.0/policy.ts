import type { PolicyFactory, RequestChanges, RequestResult } from "@policy-engine/sdk";
import type { Params } from "./params.gen.ts";

/** What a client may send raw in a path, one character a byte, and a policy may not. */
const UNSAFE_IN_PATH = /[^!-~]|#/g;

/**
 * Rewrites where a request goes. The prefix is compared with the normalised path, and what follows it is sent
 * normalised too: a spelling such as `/api/../admin` can neither reach nor miss a rewrite by accident.
 */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const fixed: RequestChanges = {
    ...(params.replacePath !== undefined && { path: params.replacePath }),
    ...(params.method !== undefined && { method: params.method }),
    ...(params.authority !== undefined && { authority: params.authority }),
    ...(params.reroute && { reroute: true }),
  };
  if (params.replacePrefix === undefined) {
    // "OPTIONS *" and CONNECT have no path to replace.
    return { onRequest: (ctx): RequestResult => (ctx.path.startsWith("/") ? fixed : undefined) };
  }

  const from = withoutTrailingSlash(params.replacePrefix.from);
  const to = withoutTrailingSlash(params.replacePrefix.to);
  return {
    onRequest(ctx): RequestResult {
      if (!isUnder(ctx.path, from)) return;
      const rest = ctx.path.slice(from.length).replaceAll(UNSAFE_IN_PATH, percentEncode);
      return { ...fixed, path: to + rest || "/" };
    },
  };
};

/** What the schema cannot say: which parameters go together, and that a prefix can be met at all. */
export function validate(params: Params): string[] {
  const problems: string[] = [];
  const { replacePrefix, replacePath, method, authority } = params;
  if (replacePrefix !== undefined && replacePath !== undefined) {
    problems.push("replacePrefix and replacePath are both given, one of them is needed");
  }
  if ([replacePrefix, replacePath, method, authority].every((change) => change === undefined)) {
    problems.push("nothing is rewritten, one of replacePrefix, replacePath, method and authority is needed");
  }
  const paths = {
    "replacePrefix.from": replacePrefix?.from,
    "replacePrefix.to": replacePrefix?.to,
    replacePath,
  };
  for (const [name, path] of Object.entries(paths)) {
    if (path !== undefined && !isNormalised(path)) {
      problems.push(`${name} is ${JSON.stringify(path)}, a path in normalised form is needed`);
    }
  }
  return problems;
}

function isUnder(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === "/");
}

function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

function withoutTrailingSlash(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/** No empty and no dot segments, and nothing percent-encoded that need not be (RFC 3986 section 6.2.2). */
function isNormalised(path: string): boolean {
  const segments = path.slice(1).split("/");
  if (segments.some((segment, index) => segment === "" && index < segments.length - 1)) return false;
  if (segments.some((segment) => segment === "." || segment === "..")) return false;
  const codes = path.match(/%.{0,2}/g) ?? [];
  return codes.every(
    (code) =>
      /^%[0-9A-F]{2}$/.test(code) &&
      !/[A-Za-z0-9._~-]/.test(String.fromCharCode(Number.parseInt(code.slice(1), 16))),
  );
}
