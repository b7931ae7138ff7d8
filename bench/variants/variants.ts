import { ROUTE } from "../load/work.ts";
import type { PeerName } from "../peers/build.ts";
import type { Variant } from "./variant.ts";

export const SMALL_BODY = 10 * 1024;
export const LARGE_BODY = 100 * 1024;

const BOTH = { request: ["x-bench-request"], response: ["x-bench-response"] };
const NOTHING = { request: [], response: [] };
/** From which header each of the five policies takes what it sets. */
const REQUEST_SOURCES = ["x-client", "x-region", "x-tenant", "accept-language", "traceparent"];
const RESPONSE_SOURCES = ["x-service", "x-trace", "etag", "vary", "x-service-version"];
/** Both are true: a condition that is false would save the work of its policy. */
const CONDITIONS: Readonly<Record<number, string>> = {
  1: `request.method == "GET" && request.path.startsWith("/${ROUTE}/")`,
  3: 'request.headers["x-tenant"] == "acme" || request.headers["x-region"].startsWith("us-")',
};

interface ChainOptions {
  readonly conditions?: boolean;
}

function copies(count: number, { conditions = false }: ChainOptions = {}): { name: string }[] {
  return REQUEST_SOURCES.slice(0, count).map((from, index) => ({
    name: "copy-header",
    version: "v1.0.0",
    parameters: {
      request: { from, to: setName("request", index) },
      response: { from: RESPONSE_SOURCES[index], to: setName("response", index) },
    },
    ...(conditions && CONDITIONS[index] !== undefined && { executionCondition: CONDITIONS[index] }),
  }));
}

/** The first policy sets what the peers set. */
function setName(direction: "request" | "response", index: number): string {
  return index === 0 ? `x-bench-${direction}` : `x-bench-${direction}-${index}`;
}

function allOf(count: number): Variant["sets"] {
  const names = (direction: "request" | "response") =>
    Array.from({ length: count }, (_, index) => setName(direction, index));
  return { request: names("request"), response: names("response") };
}

function engine(name: string, title: string, parts: Pick<Variant, "sets"> & { policies: object[] }): Variant {
  const { policies, sets } = parts;
  return {
    name: `engine-${name}`,
    title: `policy-engine, ${title}`,
    processor: { kind: "engine", policies },
    sets,
  };
}

function peer(name: PeerName, title: string): Variant {
  return { name, title, processor: { kind: "peer", name }, sets: BOTH };
}

/** The variants that get a body of one size. */
function withBodies(suffix: string, bodyBytes: number): Variant[] {
  const size = `${bodyBytes / 1024} KiB`;
  const sets = { request: ["x-bench-request"], response: [] };
  const echo = { name: "echo-body", version: "v1.0.0" };
  return [
    {
      name: `envoy-${suffix}`,
      title: `Envoy alone, ${size} body`,
      processor: { kind: "none" },
      sets: NOTHING,
      bodyBytes,
    },
    ...(["tonic", "grpc-go"] as const).map((name): Variant => {
      const processor = { kind: "peer", name, bodies: true } as const;
      return {
        name: `${name}-${suffix}`,
        title: `${name}, ${size} body sent back`,
        processor,
        sets,
        bodyBytes,
      };
    }),
    { ...engine(suffix, `${size} body replaced`, { policies: [echo], sets }), bodyBytes },
  ];
}

/** The longest chain that is measured, as a route has it. */
export function fivePolicies(): { name: string }[] {
  return copies(5, { conditions: true });
}

/** @throws {Error} If there is no such variant. */
export function variantNamed(name: string, facts: TokenFacts): Variant {
  const variant = allVariants(facts).find((other) => other.name === name);
  if (variant === undefined) throw new Error(`Cannot find variant "${name}"`);
  return variant;
}

/** Everything that is measured. `token` is in every request; `jwks` is the set of keys it can be verified with. */
export function allVariants({ issuer, audience, jwks }: TokenFacts): Variant[] {
  const jwt = {
    name: "jwt-validation",
    version: "v1.0.0",
    parameters: { issuers: [{ issuer, audiences: [audience], jwks }], keepToken: true },
  };
  return [
    { name: "envoy", title: "Envoy alone", processor: { kind: "none" }, sets: NOTHING },
    { name: "envoy-lua", title: "Envoy, Lua filter", processor: { kind: "none" }, filter: "lua", sets: BOTH },
    {
      ...{ name: "envoy-header-mutation", title: "Envoy, header_mutation filter" },
      ...{ processor: { kind: "none" }, filter: "header_mutation", sets: BOTH },
    },
    {
      ...{ name: "envoy-jwt", title: "Envoy, jwt_authn filter, cached" },
      ...{ processor: { kind: "none" }, filter: "jwt_authn", sets: NOTHING },
    },
    peer("ceiling", "Ceiling: our transport, fixed answers"),
    peer("tonic", "tonic (Rust), empty server"),
    peer("grpc-go", "grpc-go, empty server"),
    peer("grpc-js", "grpc-js on Bun, empty server"),
    engine("0", "no policy", { policies: [], sets: NOTHING }),
    engine("1", "1 policy", { policies: copies(1), sets: allOf(1) }),
    engine("5", "5 policies", { policies: copies(5), sets: allOf(5) }),
    engine("5-cel", "5 policies, 2 conditions", {
      policies: copies(5, { conditions: true }),
      sets: allOf(5),
    }),
    engine("jwt", "cached JWT and 1 policy", { policies: [jwt, ...copies(1)], sets: allOf(1) }),
    ...withBodies("body-10k", SMALL_BODY),
    ...withBodies("body-100k", LARGE_BODY),
  ];
}

/** What a verifier has to know of the token in every request. */
export interface TokenFacts {
  readonly issuer: string;
  readonly audience: string;
  /** A JWK Set as text. */
  readonly jwks: string;
}

/** In the order in which they are measured and reported. */
export const VARIANT_NAMES: readonly string[] = allVariants({ issuer: "", audience: "", jwks: "" }).map(
  ({ name }) => name,
);
