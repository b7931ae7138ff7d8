import type { Expression, Logger, PolicyMetadata, RequestContext } from "@policy-engine/sdk";
import { type Claims, claimAt, claimPath } from "./claims.ts";
import type { Params } from "./params.gen.ts";
import type { Refusal } from "./refusal.ts";

/** What a token has to say, beside being valid; decided once for each token. */
export function unmetBy(claims: Claims, { scopes, requiredClaims }: Params): Refusal | undefined {
  const granted = scopesOf(claimAt(claims, claimPath(scopes.claim)));
  if (!scopes.all.every((scope) => granted.has(scope))) return "scope_insufficient";
  if (scopes.any.length > 0 && !scopes.any.some((scope) => granted.has(scope))) return "scope_insufficient";
  return requiredClaims.every((rule) => isMet(rule, claims)) ? undefined : "claim_refused";
}

/** Text with blanks in between (RFC 6749 section 3.3) or, as some issuers have it, a list. */
function scopesOf(value: unknown): ReadonlySet<unknown> {
  if (typeof value === "string") return new Set(value.split(" "));
  return new Set(Array.isArray(value) ? value : []);
}

function isMet({ claim, oneOf, contains }: Params["requiredClaims"][number], claims: Claims): boolean {
  const value = claimAt(claims, claimPath(claim));
  if (value === undefined || value === null) return false;
  if (oneOf !== undefined && !oneOf.some((wanted) => wanted === value)) return false;
  return (
    contains === undefined || (Array.isArray(value) && contains.every((wanted) => value.includes(wanted)))
  );
}

/** CEL rules, which may also look at the request and are so decided for each. */
export class Rules {
  readonly #expressions: readonly Expression[];

  /** @throws {Error} With everything that is wrong with them. */
  constructor(sources: readonly string[], expression: PolicyMetadata["expression"]) {
    const problems: string[] = [];
    const compiled: Expression[] = [];
    for (const [index, source] of sources.entries()) {
      try {
        const made = expression(source);
        if (made.type === "bool" || made.type === "dyn") compiled.push(made);
        else problems.push(`Cannot use rules[${index}]: it is of type ${made.type}, a bool is needed`);
      } catch (error) {
        problems.push(`Cannot use rules[${index}]: ${(error as Error).message}`);
      }
    }
    if (problems.length > 0) throw new Error(problems.join("; "));
    this.#expressions = compiled;
  }

  /** Whether all are true. One that has no value, say as a claim is missing, is not. */
  hold(ctx: RequestContext): boolean {
    for (const [index, expression] of this.#expressions.entries()) {
      try {
        if (expression.evaluate(ctx) !== true) return false;
      } catch (error) {
        noteFault(ctx.log, { rule: index, error });
        return false;
      }
    }
    return true;
  }
}

function noteFault(log: Logger, { rule, error }: { rule: number; error: unknown }): void {
  if (!log.enabled("debug")) return;
  log.debug("A rule about a token could not be evaluated", {
    rule,
    error: error instanceof Error ? error.message : "",
  });
}
