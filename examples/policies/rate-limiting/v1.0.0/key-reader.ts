import type { PolicyMetadata, RequestContext } from "@policy-engine/sdk";
import type { Params, ParamsPart } from "./params.gen.ts";

/** What a request is counted by. */
export interface KeyReader {
  /**
   * The request's key. A part that is missing is empty, which is nobody's value; undefined if one is missing and the
   * reader was told to insist.
   */
  read(ctx: RequestContext): string | undefined;
}

/** The value of a part, empty if it is missing. */
type PartReader = (ctx: RequestContext) => string;

/** @throws {Error} If an expression is wrong. */
export function keyReader(
  key: Params["key"],
  { metadata, insists }: { metadata: PolicyMetadata; insists: boolean },
): KeyReader {
  const parts = (Array.isArray(key) ? (key as readonly ParamsPart[]) : [key as ParamsPart])
    // Counters belong to a place in a route, so all requests that a policy sees are the route's.
    .filter((part) => part !== "route")
    .map((part) => partReader(part, metadata));
  const [first] = parts;
  if (first === undefined) return { read: () => "" };
  if (parts.length === 1) {
    return {
      read(ctx) {
        const value = first(ctx);
        return value === "" && insists ? undefined : value;
      },
    };
  }
  return {
    read(ctx) {
      let joined = "";
      for (const part of parts) {
        const value = part(ctx);
        if (value === "" && insists) return undefined;
        // With its length, so that no two lists of values look the same.
        joined += `${value.length}:${value}`;
      }
      return joined;
    },
  };
}

function partReader(part: Exclude<ParamsPart, "route">, metadata: PolicyMetadata): PartReader {
  if (part === "client.address") return (ctx) => networkOf(ctx.client.address);
  if ("header" in part) {
    const { header } = part;
    return (ctx) => {
      const lines = ctx.headers.getAll(header);
      // Of several lines, which one is meant would be a guess, and each mixture would be a key of its own.
      return lines.length === 1 ? lines[0]! : "";
    };
  }
  if ("metadata" in part) {
    const [first = "", ...path] = part.metadata.split(".");
    return (ctx) => textOf(follow(ctx.metadata.get(first), path));
  }
  const expression = metadata.expression(part.expression);
  return (ctx) => {
    try {
      return textOf(expression.evaluate(ctx));
    } catch (error) {
      // Something is missing that it reads. Whether a client can bring that about is for `onMissingKey` to bear.
      if (ctx.log.enabled("debug")) ctx.log.debug("Key expression has no value", { error });
      return "";
    }
  };
}

function follow(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const name of path) {
    if (at instanceof Map) at = at.get(name);
    else if (typeof at === "object" && at !== null && Object.hasOwn(at, name)) {
      at = (at as Record<string, unknown>)[name];
    } else return undefined;
  }
  return at;
}

function textOf(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    default:
      return "";
  }
}

/** An IPv4 address as it is; of an IPv6 address its /64: whoever has one address of it has them all (RFC 6177). */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [before = "", after] = address.split("::");
  const groups = before === "" ? [] : before.split(":");
  if (after !== undefined) {
    const behind = after === "" ? 0 : after.split(":").length;
    while (groups.length + behind < 8) groups.push("0");
    groups.push(...after.split(":"));
  }
  return `${groups.slice(0, 4).join(":")}::/64`;
}
