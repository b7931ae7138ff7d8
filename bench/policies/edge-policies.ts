// What cors, ip-allow-list and request-id add to an exchange, beside set-header; see compare-variants.ts.
//
//   bun bench/policies/edge-policies.ts [ROUNDS] [SECONDS]
import * as cors from "../../examples/policies/cors/v1.0.0/policy.ts";
import * as ipAllowList from "../../examples/policies/ip-allow-list/v1.0.0/policy.ts";
import * as requestId from "../../examples/policies/request-id/v1.0.0/policy.ts";
import * as setHeader from "../../examples/policies/set-header/v1.0.0/policy.ts";
import type { HeaderPairs } from "../../test/helpers/kernel.ts";
import { chainRun, compareVariants, examplePolicy, type Run, requestWith } from "./compare-variants.ts";

const APP = "https://app.example.com";
const PATTERN = { origins: ["https://*.example.com"] };
/** Networks that do not touch each other: the last one has the client. */
const MANY = [
  ...Array.from({ length: 9_999 }, (_, i) => `10.${i >> 6}.${(i & 63) * 4}.0/24`),
  "203.0.113.0/24",
];
const FORWARDED = ["x-forwarded-for", "198.51.100.7, 203.0.113.9, 10.0.0.7"] as const;
const trusting = { allow: ["203.0.113.0/24"], addressFrom: "x-forwarded-for" };

await compareVariants(import.meta.path, {
  "a hook that does nothing": () =>
    chainRun({ policies: [{ onRequest: () => undefined }], requests: [request([])] }),
  "set-header, request": () => headers({ request: { set: { "x-a": "1" } } }),
  "set-header, both": () => headers({ request: { set: { "x-a": "1" } }, response: { set: { "x-b": "1" } } }),
  "cors, no origin": () => crossOrigin({ origins: [APP] }),
  "cors, exact origin": () => crossOrigin({ origins: [APP] }, "GET"),
  "cors, origin by pattern": () => crossOrigin(PATTERN, "GET"),
  "cors, preflight": () => crossOrigin({ origins: [APP] }, "OPTIONS"),
  "ip-allow-list, 1 network": () => addresses({ allow: ["203.0.113.0/24"] }),
  "ip-allow-list, 10,000 networks": () => addresses({ allow: MANY }),
  "ip-allow-list, IPv6": () => addresses({ allow: ["2001:db8::/32"] }, "[2001:db8::12ab:1]:4711"),
  "ip-allow-list, trustedHops: 2": () => addresses({ ...trusting, trustedHops: 2 }),
  "ip-allow-list, trustedProxies": () =>
    addresses({ ...trusting, trustedProxies: ["10.0.0.0/8"] }, "10.0.0.9:1"),
  "request-id, Envoy's, echo: false": () => ids({ echo: false }),
  "request-id, Envoy's": () => ids({}),
  "request-id, uuidv4": () => ids({ trustIncoming: false }),
  "request-id, uuidv7": () => ids({ trustIncoming: false, generator: "uuidv7" }),
});

/** A request from an address. */
function request(
  more: HeaderPairs,
  { address = "203.0.113.9:4711", method }: { address?: string; method?: string | undefined } = {},
): Uint8Array {
  return requestWith(more, { address, method });
}

async function headers(params: unknown): Promise<Run> {
  const policy = await examplePolicy(setHeader, { folder: "set-header/v1.0.0", params });
  return chainRun({ policies: [policy], requests: [request([])] });
}

async function crossOrigin(params: unknown, method?: "GET" | "OPTIONS"): Promise<Run> {
  const policies = [await examplePolicy(cors, { folder: "cors/v1.0.0", params })];
  if (method === undefined) return chainRun({ policies, requests: [request([])] });
  const preflight = method === "OPTIONS";
  const more: HeaderPairs = preflight ? [["access-control-request-method", "PUT"]] : [];
  const requests = [request([["origin", APP], ...more], { method })];
  return chainRun({ policies, requests, refuses: preflight });
}

async function addresses(params: unknown, address?: string): Promise<Run> {
  const policies = [await examplePolicy(ipAllowList, { folder: "ip-allow-list/v1.0.0", params })];
  return chainRun({ policies, requests: [request([FORWARDED], address === undefined ? {} : { address })] });
}

async function ids(params: unknown): Promise<Run> {
  const policies = [await examplePolicy(requestId, { folder: "request-id/v1.0.0", params })];
  return chainRun({ policies, requests: [request([])] });
}
