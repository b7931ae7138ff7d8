import type { ConditionFacts } from "../cel/condition-facts.ts";
import type { Problem } from "../document/problem.ts";
import type { PlannedPolicy } from "./plan-policies.ts";
import type { WarningCode, WarningReporter } from "./warning.ts";

/** Parts of a request that whoever sends it can write as they like, by the names of conditions. */
const CLIENT_CHOICES: readonly {
  readonly code: WarningCode;
  readonly names: Readonly<Record<string, string>>;
  readonly hint: string;
}[] = [
  {
    code: "auth-behind-client-header",
    names: {
      "Request.headers": "request.headers",
      "Original.headers": "request.original.headers",
      "Request.authority": "request.authority",
      "Request.host": "request.host",
      "Original.authority": "request.original.authority",
    },
    hint: "Decide by request.path, request.method or client.address, or give what is public a route of its own",
  },
  {
    code: "auth-behind-query",
    names: { "Request.query": "request.query", "Request.rawQuery": "request.rawQuery" },
    hint: "Decide by request.path, request.method or client.address, or give what is public a route of its own",
  },
  {
    code: "auth-behind-body",
    names: { "Request.body": "request.body" },
    hint: "Authenticate first, without a condition, and let a policy behind it look at the body",
  },
  {
    code: "auth-behind-raw-path",
    names: { "Request.rawPath": "request.rawPath", "Original.path": "request.original.path" },
    hint: 'Use "request.path": it is normalised, so that one resource has one path',
  },
];

/** What opens the door that an authentication policy is meant to keep. */
export function authenticationWarnings(
  planned: PlannedPolicy,
  facts: ConditionFacts | undefined,
  warn: WarningReporter,
): Problem[] {
  const { policy, reference, index } = planned;
  const { definition } = policy;
  if (!definition.authentication) return [];
  const place = `/policies/${index}`;
  const name = JSON.stringify(`${definition.name} ${definition.version}`);
  if (!reference.enabled) {
    const message = `Authentication policy ${name} is not enabled: requests pass without it`;
    return [
      warn("auth-disabled", { pointer: `${place}/enabled`, message, hint: "Enable it, or take it out" }),
    ];
  }
  return [
    ...conditionWarnings({ name, pointer: `${place}/executionCondition` }, facts, warn),
    ...openWarnings(planned, { name, place, facts, warn }),
  ];
}

function conditionWarnings(
  { name, pointer }: { readonly name: string; readonly pointer: string },
  facts: ConditionFacts | undefined,
  warn: WarningReporter,
): Problem[] {
  if (facts === undefined) return [];
  const found: Problem[] = [];
  const whole = readsOriginalAsWhole(facts);
  for (const { code, names, hint } of CLIENT_CHOICES) {
    const read = Object.entries(names).flatMap(([internal, shown]) =>
      facts.names.has(internal) || (whole && internal.startsWith("Original.")) ? shown : [],
    );
    if (read.length === 0) continue;
    const message = `Clients can choose whether authentication policy ${name} runs: its condition reads ${read.join(", ")}`;
    found.push(warn(code, { pointer, message, hint }));
  }
  if (facts.names.has("response")) {
    const message = `Authentication policy ${name} decides when the request has been served: its condition reads the response`;
    const hint = "Use a condition on the request";
    found.push(warn("auth-behind-response", { pointer, message, hint }));
  }
  return found;
}

/** Under another name (`cel.bind`, a list) any of its fields can be read. */
function readsOriginalAsWhole({ names }: ConditionFacts): boolean {
  return names.has("Request.original") && ![...names].some((name) => name.startsWith("Original."));
}

function openWarnings(
  { policy: { definition }, reference }: PlannedPolicy,
  about: {
    readonly name: string;
    readonly place: string;
    readonly facts: ConditionFacts | undefined;
    readonly warn: WarningReporter;
  },
): Problem[] {
  const { name, place, facts, warn } = about;
  const found: Problem[] = [];
  const open = (key: string, given: unknown, what: string, hint: string): void => {
    const pointer = `${place}/${given === undefined ? "name" : key}`;
    const message = `Authentication policy ${name} lets requests pass ${what}`;
    found.push(warn("auth-fails-open", { pointer, message, hint }));
  };
  if ((reference.failureMode ?? definition.failureMode) === "open") {
    const hint = 'Set "failureMode: closed"';
    open("failureMode", reference.failureMode, 'when it fails: its failure mode is "open"', hint);
  }
  const conditionError = reference.conditionError ?? definition.conditionError;
  if (facts !== undefined && conditionError === "skip") {
    const hint = 'Set "conditionError: deny"';
    open("conditionError", reference.conditionError, "when its condition cannot be evaluated", hint);
  }
  const readsBody = definition.requiresRequestBody !== "none" || facts?.names.has("Request.body") === true;
  if (readsBody && reference.onUnbufferable === "skip") {
    const hint = 'Set "onUnbufferable: deny"';
    open("onUnbufferable", "skip", "whose body cannot be buffered", hint);
  }
  return found;
}
