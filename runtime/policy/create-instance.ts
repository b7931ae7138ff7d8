import type { Expression, Policy, PolicyMetadata } from "@policy-engine/sdk";
import { compileExpression } from "../cel/compile-expression.ts";
import type { EngineLogger } from "../observability/log.ts";
import { type Scrub, scrubber } from "../observability/scrub.ts";
import type { PolicyDefinition } from "./definition.ts";
import type { PolicyInstance } from "./instance.ts";
import { reasonOf } from "./reason.ts";
import type { BuildInfo, PolicyModule, RegisteredPolicy } from "./registry.ts";
import { SecretFreeLog } from "./secret-free-log.ts";
import { within } from "./within.ts";

export interface CreateInstanceOptions {
  readonly route: string;
  /** Parameters as `Parameters.check` returned them. */
  readonly params: unknown;
  readonly engineMetadata: Readonly<Record<string, string>>;
  readonly build: BuildInfo;
  readonly log: EngineLogger;
  /** How long `getPolicy` may take. */
  readonly timeoutMs: number;
  /** The instance this one takes the place of. */
  readonly previous?: Policy | undefined;
}

const HOOKS = ["onRequest", "onResponse", "onEnd", "close"] as const;

/**
 * Makes a policy for one place in one chain: `validate`, then `getPolicy`, then a look at what it returned.
 * Rejects with an Error for people, free of the parameters' secrets, and leaves nothing open behind: the
 * instance's signal is aborted and whatever `getPolicy` returns, be it later, is closed.
 */
export async function createInstance(
  registered: RegisteredPolicy,
  options: CreateInstanceOptions,
): Promise<PolicyInstance> {
  const { definition, module, parameters } = registered;
  const { route, params, timeoutMs } = options;
  const subject = `policy ${JSON.stringify(definition.name)} ${definition.version}`;
  const ownLog = options.log.child({
    component: "policy",
    policy: `${definition.name}:${definition.version}`,
    route,
  });
  const secrets = parameters.secretsIn(params);
  const scrub = scrubber(secrets);
  // Also from lines that are not of this instance: what its code leaves behind may fail later.
  const retire = options.log.hide(secrets);
  const log = secrets.length === 0 ? ownLog : new SecretFreeLog(ownLog, scrub);
  const life = new AbortController();
  const abandon = (state: string, made?: unknown): Error => {
    life.abort();
    void closePolicy(made, { log, scrub }).then(retire);
    return new Error(`Cannot create ${subject}: ${state}`);
  };

  const refusal = refuseParameters(module, { params, scrub });
  if (refusal !== undefined) throw abandon(refusal);

  let making: Policy | Promise<Policy>;
  let made: { readonly value: unknown } | undefined;
  try {
    making = module.getPolicy(
      metadataFor(registered, options, { log, signal: life.signal }),
      params as never,
    );
    made = await within<unknown>(making, timeoutMs);
  } catch (error) {
    throw abandon(`getPolicy failed: ${reasonOf(error, scrub)}`);
  }
  if (made === undefined) {
    Promise.resolve(making).then(
      (late) => closePolicy(late, { log, scrub }),
      (error) => log.warn("getPolicy failed after its time was over", { error: reasonOf(error, scrub) }),
    );
    throw abandon(`getPolicy did not end within ${timeoutMs} ms`);
  }
  const fault = faultOf(made.value, definition, scrub);
  if (fault !== undefined) throw abandon(fault, made.value);
  const policy = made.value as Policy;

  let closing: Promise<void> | undefined;
  return {
    definition,
    policy,
    log,
    close() {
      closing ??= (async () => {
        life.abort();
        await closePolicy(policy, { log, scrub });
        retire();
      })();
      return closing;
    },
  };
}

function metadataFor(
  { definition, entry }: RegisteredPolicy,
  { route, engineMetadata, build, previous }: CreateInstanceOptions,
  { log, signal }: { log: EngineLogger; signal: AbortSignal },
): PolicyMetadata {
  const { sourcePath, integrity } = entry;
  const reach = {
    requestBody: definition.requiresRequestBody !== "none",
    responseBody: definition.requiresResponseBody !== "none",
    response: definition.supportsResponsePhase !== false,
  };
  return Object.freeze({
    name: definition.name,
    version: definition.version,
    route,
    log,
    signal,
    engine: Object.freeze({ ...engineMetadata }),
    build: Object.freeze({ sourcePath, integrity, builtAt: build.builtAt }),
    ...(previous === undefined ? {} : { previous }),
    expression(source: string): Expression {
      const { expression, problems } = compileExpression(source, reach);
      if (expression === undefined) throw new Error(problems.join("; "));
      return expression;
    },
  });
}

/** Why the policy's own `validate` does not take the parameters. */
function refuseParameters(
  { validate }: PolicyModule,
  { params, scrub }: { params: unknown; scrub: Scrub },
): string | undefined {
  if (validate === undefined) return undefined;
  let found: unknown;
  try {
    found = validate(params as never);
  } catch (error) {
    return `validate failed: ${reasonOf(error, scrub)}`;
  }
  if (!Array.isArray(found) || !found.every((item) => typeof item === "string")) {
    // A promise that rejects unseen would be reported as a stray rejection of the engine.
    if (found instanceof Promise) found.catch(() => {});
    return "validate did not return a list of strings";
  }
  return found.length === 0
    ? undefined
    : `its parameters are refused: ${found.map((text) => reasonOf(text, scrub)).join("; ")}`;
}

/** Why what `getPolicy` returned is not a policy of this definition. Reading it may throw. */
function faultOf(made: unknown, definition: PolicyDefinition, scrub: Scrub): string | undefined {
  if (typeof made !== "object" || made === null || Array.isArray(made)) {
    const kind = made === null ? "null" : Array.isArray(made) ? "a list" : typeof made;
    return `getPolicy returned ${kind}, an object with hooks is needed`;
  }
  try {
    const hooks = made as Record<string, unknown>;
    for (const hook of HOOKS) {
      const value = hooks[hook];
      if (value !== undefined && typeof value !== "function") {
        return `its ${hook} is not a function but ${value === null ? "null" : typeof value}`;
      }
    }
    if (hooks.onRequest === undefined && hooks.onResponse === undefined) {
      return "getPolicy returned an object without hooks, onRequest or onResponse is needed";
    }
    return (
      phaseFault("onRequest", hooks.onRequest, definition.supportsRequestPhase) ??
      phaseFault("onResponse", hooks.onResponse, definition.supportsResponsePhase)
    );
  } catch (error) {
    return `its hooks cannot be read: ${reasonOf(error, scrub)}`;
  }
}

function phaseFault(
  hook: "onRequest" | "onResponse",
  implemented: unknown,
  supported: boolean | undefined,
): string | undefined {
  const key = hook === "onRequest" ? "supportsRequestPhase" : "supportsResponsePhase";
  if (supported === true && implemented === undefined)
    return `its definition says ${key}, but it has no ${hook}`;
  if (supported === false && implemented !== undefined) {
    return `its definition says ${key}: false, but it has ${hook}`;
  }
  return undefined;
}

async function closePolicy(
  made: unknown,
  { log, scrub }: { log: EngineLogger; scrub: Scrub },
): Promise<void> {
  try {
    const policy = made as Policy | null | undefined;
    if (typeof policy?.close === "function") await policy.close();
  } catch (error) {
    log.error("Cannot close policy: its close failed", { error: reasonOf(error, scrub) });
  }
}
