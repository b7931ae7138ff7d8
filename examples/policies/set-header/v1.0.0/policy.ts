import type { HeaderChanges, Policy, PolicyFactory, RequestResult, ResponseResult } from "@policy-engine/sdk";
import type { Params } from "./params.gen.ts";

/** The changes to one direction, as the parameters spell them. */
type Changes = NonNullable<Params["request"]>;

/**
 * Sets, appends, adds if absent or removes headers. The changes are the same for every exchange, so they are
 * made once here. A direction without parameters gets no hook, and Envoy is not asked for that part.
 */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const policy: Policy = {};
  if (params.request !== undefined) {
    const changes = headerChanges(params.request);
    policy.onRequest = (): RequestResult => changes;
  }
  if (params.response !== undefined) {
    const changes = headerChanges(params.response);
    policy.onResponse = (): ResponseResult => changes;
  }
  return policy;
};

/** What the schema cannot say: names that differ only in case are one header. */
export function validate(params: Params): string[] {
  const problems: string[] = [];
  for (const phase of ["request", "response"] as const) {
    const changes = params[phase];
    for (const action of ["set", "addIfAbsent", "append"] as const) {
      const seen = new Set<string>();
      for (const name of Object.keys(changes?.[action] ?? {})) {
        if (seen.has(name.toLowerCase())) {
          problems.push(`${phase}.${action} names the header "${name.toLowerCase()}" twice`);
        }
        seen.add(name.toLowerCase());
      }
    }
  }
  return problems;
}

function headerChanges({ remove, set, addIfAbsent, append }: Changes): HeaderChanges {
  return {
    ...(remove && { removeHeaders: remove }),
    ...(set && { setHeaders: set }),
    ...(addIfAbsent && { addHeadersIfAbsent: addIfAbsent }),
    ...(append && { appendHeaders: append }),
  };
}
