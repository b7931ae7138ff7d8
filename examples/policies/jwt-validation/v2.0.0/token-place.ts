import type { RequestChanges, RequestContext } from "@policy-engine/sdk";
import type { Params } from "./params.gen.ts";

/** What a client may send raw in a query, one character a byte, and a policy may not. */
const UNSAFE_IN_QUERY = /^\?|[^!-~]|#/g;
const NOT_ASCII = /[^\0-~]/g;

/** A place where a token may be. */
export interface TokenPlace {
  /** What stands there, with prefix: nothing, one token, or more than there should be. */
  find(ctx: RequestContext): readonly string[];
  /** The token in what was found. */
  tokenOf(found: string): string;
  /** The header that goes when the token is taken away; undefined where something else has to be done. */
  readonly header: string | undefined;
  /** What takes the token away where it is not a header of its own. */
  without(ctx: RequestContext): RequestChanges;
}

const NONE: readonly string[] = [];
const NOTHING: RequestChanges = {};

export function tokenPlace({ header, prefix, cookie, query }: Params["tokenFrom"][number]): TokenPlace {
  if (header !== undefined) return headerPlace(header.toLowerCase(), prefix);
  return cookie === undefined ? queryPlace(query ?? "") : cookiePlace(cookie);
}

function headerPlace(name: string, prefix: string | undefined): TokenPlace {
  const start = prefix === undefined ? /^/ : new RegExp(`^${RegExp.escape(prefix)} +`, "i");
  return {
    header: name,
    find(ctx) {
      const lines = ctx.headers.getAll(name);
      // Which of several counts would be a guess, so they are not looked at.
      if (lines.length !== 1) return lines;
      return lines[0] === "" || !start.test(lines[0] ?? "") ? NONE : lines;
    },
    tokenOf: (line) => line.replace(start, ""),
    without: () => NOTHING,
  };
}

function cookiePlace(name: string): TokenPlace {
  const isToken = (pair: string) => pair.slice(0, Math.max(pair.indexOf("="), 0)).trim() === name;
  return {
    header: undefined,
    find(ctx) {
      const line = ctx.headers.get("cookie");
      if (line?.includes(name) !== true) return NONE;
      const values = line.split(";").filter(isToken);
      return values.map((pair) => pair.slice(pair.indexOf("=") + 1).trim()).filter((value) => value !== "");
    },
    tokenOf: (value) => value,
    without(ctx) {
      const pairs = (ctx.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim());
      const kept = pairs.filter((pair) => pair !== "" && !isToken(pair));
      return kept.length === 0 ? { removeHeaders: ["cookie"] } : { setHeaders: { cookie: kept.join("; ") } };
    },
  };
}

function queryPlace(name: string): TokenPlace {
  // Read as `ctx.query` reads it: bytes are UTF-8, and a question mark is dropped only where the whole query begins.
  const isNamed = (pair: string, inner: boolean) =>
    new URLSearchParams((inner ? "&" : "") + pair.replaceAll(NOT_ASCII, percentEncode)).has(name);
  return {
    header: undefined,
    find: (ctx) => (ctx.rawQuery === "" ? NONE : ctx.query.getAll(name).filter((value) => value !== "")),
    tokenOf: (value) => value,
    without(ctx) {
      // The rest stays as the client wrote it: it may be signed.
      const kept = ctx.rawQuery.split("&").filter((pair, index) => !isNamed(pair, index > 0));
      return { query: kept.length === 0 ? null : kept.join("&").replaceAll(UNSAFE_IN_QUERY, percentEncode) };
    },
  };
}

function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
