import type { Problem } from "../document/problem.ts";
import { createSecretReader, type SecretReader } from "../policy/parameters.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { Breather } from "./breather.ts";
import { type PlannedRoute, planPolicies } from "./plan-policies.ts";
import { checkRouteLimits } from "./route-limits.ts";
import type { RouteReporter } from "./route-resource.ts";
import { ROUTES_LIMIT_HINT, type RouteEntry, type RouteSet, type RouteSource } from "./route-source.ts";
import { routeWarnings } from "./warnings.ts";

/** What a set is checked against. */
export interface MergeContext {
  readonly registry: PolicyRegistry;
  readonly limits: {
    readonly routes: number;
    readonly policiesPerRoute: number;
    readonly bodyBytes: number;
  };
  /** `extProc.messageTimeout`. */
  readonly messageTimeoutMs: number;
  /** The routes as they are; undefined before anything was applied. */
  readonly known: ReadonlyMap<string, KnownRoute> | undefined;
}

/** What is known of a route that is there already. */
export interface KnownRoute {
  readonly source: string;
  /** What its chain was made from. */
  readonly plan: PlannedRoute | undefined;
}

/** One configured route. Without a plan it has errors: it stays as it is, or is unavailable. */
export interface MergedRoute {
  readonly route: string;
  readonly source: string;
  readonly plan: PlannedRoute | undefined;
  readonly report: RouteReporter;
}

export interface Merge {
  /** Nothing of the set may be applied. */
  readonly refused: boolean;
  readonly routes: readonly MergedRoute[];
  /** Routes that the set says nothing of, but that stay, because it cannot be read as a whole. */
  readonly kept: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

interface Claim {
  readonly source: RouteSource;
  readonly entry: RouteEntry;
}

/**
 * Puts together what the files say and checks all of it. A set is refused when nothing of it can be read, and at
 * start already when one file cannot be: there is no last good configuration to fall back on then.
 */
export async function mergeRoutes(set: RouteSet, context: MergeContext): Promise<Merge> {
  const { limits, messageTimeoutMs, known } = context;
  const problems: Problem[] = [...set.problems, ...set.sources.flatMap((source) => source.problems)];
  const claims = collectClaims(set);
  let refused = isRefused(set, known === undefined);
  if (claims.size > limits.routes) {
    refused = true;
    const { entry } = [...claims.values()][limits.routes]![0]!;
    const message = `Cannot use ${claims.size} routes: at most ${limits.routes} are allowed`;
    problems.push(entry.report("", message, { hint: ROUTES_LIMIT_HINT }));
    return { refused, routes: [], kept: new Set(), problems };
  }
  const lost = new Set(set.sources.filter(({ usable }) => !usable).map(({ name }) => name));
  const planner = new Planner(context);
  const breather = new Breather();
  const routes: MergedRoute[] = [];
  for (const [route, claimed] of claims) {
    await breather.pause();
    const { source, entry } = claimed[0];
    const found: Problem[] = [...claimed.flatMap((claim) => claim.entry.problems), ...duplicates(claimed)];
    let plan: PlannedRoute | undefined;
    for (const claim of claimed) {
      const planned = planner.plan(claim);
      found.push(...planned.problems);
      plan = planned.plan;
    }
    const owner = known?.get(route)?.source;
    if (owner !== undefined && owner !== source.name && lost.has(owner)) {
      found.push(entry.report("/route", heldMessage(route, owner)));
    }
    // A route that says what it said before was warned of before.
    if (found.length === 0 && plan !== undefined && plan !== known?.get(route)?.plan) {
      problems.push(...routeWarnings(plan, { report: entry.report, messageTimeoutMs }));
    }
    problems.push(...found);
    routes.push({
      route,
      source: source.name,
      plan: found.length === 0 ? plan : undefined,
      report: entry.report,
    });
  }
  return { refused, routes, kept: keptRoutes(set, { claims, known }), problems };
}

/** Checks entries; one that says what it said before, and reads no secrets, is not checked again. */
class Planner {
  readonly #context: MergeContext;
  /** By the folder that their paths start from. */
  readonly #secrets = new Map<string, SecretReader>();

  constructor(context: MergeContext) {
    this.#context = context;
  }

  plan({ source, entry }: Claim): {
    readonly plan: PlannedRoute | undefined;
    readonly problems: readonly Problem[];
  } {
    const { registry, limits, known } = this.#context;
    const { route, resource, references, report } = entry;
    const before = known?.get(route)?.plan;
    if (before !== undefined && before.resource === resource && !before.readsSecrets) {
      return { plan: before, problems: [] };
    }
    const reader = this.#secretsOf(source.baseDir);
    let readsSecrets = false;
    const secrets: SecretReader = {
      read(reference) {
        readsSecrets = true;
        return reader.read(reference);
      },
    };
    const { policiesPerRoute } = limits;
    const { policies, problems } = planPolicies(references, { registry, secrets, policiesPerRoute, report });
    if (resource === undefined) return { plan: undefined, problems };
    const beyond = checkRouteLimits(resource.limits, { engine: limits, report });
    return { plan: { resource, policies, readsSecrets }, problems: [...problems, ...beyond] };
  }

  #secretsOf(baseDir: string): SecretReader {
    const reader = this.#secrets.get(baseDir) ?? createSecretReader({ baseDir });
    this.#secrets.set(baseDir, reader);
    return reader;
  }
}

/** The routes that would be gone if the set were applied. */
export function removedRoutes(set: RouteSet, known: ReadonlyMap<string, KnownRoute>): string[] {
  if (isRefused(set, false)) return [];
  const claims = collectClaims(set);
  const kept = keptRoutes(set, { claims, known });
  return [...known.keys()].filter((route) => !claims.has(route) && !kept.has(route));
}

function isRefused({ sources, problems }: RouteSet, first: boolean): boolean {
  if (problems.length > 0 || sources.length === 0) return true;
  return first ? sources.some(({ usable }) => !usable) : sources.every(({ usable }) => !usable);
}

function collectClaims({ sources }: RouteSet): Map<string, [Claim, ...Claim[]]> {
  const claims = new Map<string, [Claim, ...Claim[]]>();
  for (const source of sources) {
    for (const entry of source.entries) {
      const before = claims.get(entry.route);
      if (before === undefined) claims.set(entry.route, [{ source, entry }]);
      else before.push({ source, entry });
    }
  }
  return claims;
}

/** Nobody can say what a file without sense, or an entry without name, leaves out: nothing is removed for it. */
function keptRoutes(
  { sources }: RouteSet,
  { claims, known }: { claims: ReadonlyMap<string, unknown>; known: MergeContext["known"] },
): Set<string> {
  const unsure = new Set(sources.filter(({ named }) => !named).map(({ name }) => name));
  const kept = new Set<string>();
  for (const [route, { source }] of known ?? [])
    if (!claims.has(route) && unsure.has(source)) kept.add(route);
  return kept;
}

/** Names the first place at each further one. Neither is used: nobody can say which one is meant. */
function duplicates([first, ...further]: readonly [Claim, ...Claim[]]): Problem[] {
  if (further.length === 0) return [];
  const { file, line, column } = first.entry.report("/route", "");
  return further.map(({ entry }) =>
    entry.report(
      "/route",
      `Duplicate route ${JSON.stringify(entry.route)}: ${file}:${line}:${column} has it too`,
      {
        hint: "Keep one of them; until then neither is used",
      },
    ),
  );
}

function heldMessage(route: string, owner: string): string {
  return `Cannot move route ${JSON.stringify(route)}: it came from ${JSON.stringify(owner)}, which cannot be used now`;
}
