import { milliseconds } from "./duration.ts";
import { keyList } from "./key-set.ts";
import type { Params } from "./params.gen.ts";

/** Headers that no policy may set. */
export const FRAMING: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding"]);

/** The range of each duration, in milliseconds. */
const RANGES = {
  clockSkew: [0, "0s", 600_000, "10m"],
  refreshInterval: [10_000, "10s", 86_400_000, "24h"],
  keepKeysFor: [10_000, "10s", 2_592_000_000, "720h"],
  keyWait: [0, "0ms", 10_000, "10s"],
} as const;

/**
 * What the schema cannot say of parameters. Problems never quote a key.
 * @param carriers Headers that carry the token, in lower case.
 */
export function problemsOf(params: Params, carriers: readonly string[]): string[] {
  return [...issuerProblems(params), ...durationProblems(params), ...nameProblems(params, carriers)];
}

function issuerProblems({ issuers }: Params): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [index, { issuer, jwksUrl, jwks }] of issuers.entries()) {
    const place = `issuers[${index}]`;
    if (seen.has(issuer)) problems.push(`${place}.issuer is that of another one too`);
    seen.add(issuer);
    if ((jwksUrl === undefined) === (jwks === undefined)) {
      problems.push(
        `${place} has ${jwks === undefined ? "neither" : "both"} jwksUrl and jwks, one of them is needed`,
      );
    }
    if (jwksUrl !== undefined)
      problems.push(...urlProblems(jwksUrl).map((text) => `${place}.jwksUrl ${text}`));
    try {
      if (jwks !== undefined) keyList(jwks);
    } catch (error) {
      problems.push(`${place}.jwks cannot be used: ${(error as Error).message}`);
    }
  }
  return problems;
}

function urlProblems(text: string): string[] {
  if (!URL.canParse(text)) return ["is no URL"];
  const { username, password, hash } = new URL(text);
  return username + password + hash === ""
    ? []
    : ["has a user, a password or a fragment, which would not be sent"];
}

function durationProblems(params: Params): string[] {
  const problems: string[] = [];
  for (const [name, [min, minText, max, maxText]] of Object.entries(RANGES)) {
    const value = milliseconds(params[name as keyof typeof RANGES]);
    if (value < min || value > max) problems.push(`${name} must be from ${minText} to ${maxText}`);
  }
  if (milliseconds(params.keepKeysFor) < milliseconds(params.refreshInterval)) {
    problems.push("keepKeysFor is shorter than refreshInterval: keys would be lost between two looks");
  }
  return problems;
}

function nameProblems({ claimHeaders, claimMetadata }: Params, carriers: readonly string[]): string[] {
  const problems: string[] = [];
  const names = Object.keys(claimHeaders).map((name) => name.toLowerCase());
  for (const name of new Set(names)) {
    if (FRAMING.has(name))
      problems.push(`"${name}" is a header that a policy cannot change, another one is needed`);
    if (carriers.includes(name)) problems.push(`"${name}" carries the token, another header is needed`);
    if (names.indexOf(name) !== names.lastIndexOf(name)) problems.push(`"${name}" is named for two purposes`);
  }
  if (Object.hasOwn(claimMetadata, "auth"))
    problems.push('"auth" of claimMetadata is set anyway, another key is needed');
  return problems;
}
