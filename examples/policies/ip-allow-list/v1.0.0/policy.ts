import { type PolicyFactory, type RequestResult, respond } from "@policy-engine/sdk";
import { addressReader } from "./client-address.ts";
import { NetworkSet, networkProblems } from "./network-set.ts";
import type { Params } from "./params.gen.ts";

/** The same for everybody: who is refused does not learn by which list. */
const refused = respond(403, { body: "Address not allowed", reason: "ip_not_allowed" });

/** Lets a request pass by the address of its client. An address that is not known, or no address, does not pass. */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const allow = params.allow && new NetworkSet(params.allow);
  const deny = params.deny && new NetworkSet(params.deny);
  const readAddress = addressReader(params);
  // One for all requests: hooks that do not wait cannot meet each other.
  const address = new Uint32Array(4);
  return {
    onRequest(ctx): RequestResult {
      if (!readAddress(ctx, address) || deny?.has(address)) return refused;
      return allow === undefined || allow.has(address) ? undefined : refused;
    },
  };
};

/** What the schema cannot say. */
export function validate(params: Params): string[] {
  const { addressFrom, trustedHops, trustedProxies } = params;
  const problems = (["allow", "deny", "trustedProxies"] as const).flatMap((key) =>
    networkProblems(key, params[key] ?? []),
  );
  const given = [trustedHops, trustedProxies].filter((one) => one !== undefined).length;
  if (addressFrom === "x-forwarded-for" && given !== 1)
    problems.push(
      "addressFrom: x-forwarded-for needs trustedHops or trustedProxies, one of them: clients write that header too",
    );
  if (addressFrom === "connection" && given > 0)
    problems.push("trustedHops and trustedProxies mean nothing without addressFrom: x-forwarded-for");
  return problems;
}
