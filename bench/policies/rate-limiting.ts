// What rate limiting adds to an exchange, beside set-header: kernel and chain without a socket, as bench/kernel.
//
//   bun bench/policies/rate-limiting.ts [ROUNDS] [SECONDS]
//
// Each variant runs in a process of its own, the order is turned round each time, and the table has the medians of the
// rounds: nanoseconds of CPU an exchange, of which the first line is what any policy costs.
import { type Policy, respond } from "@policy-engine/sdk";
import * as rateLimiting from "../../examples/policies/rate-limiting/v1.0.0/policy.ts";
import * as setHeader from "../../examples/policies/set-header/v1.0.0/policy.ts";
import { chainRun, compareVariants, examplePolicy, requestWith } from "./compare-variants.ts";

interface Setting {
  readonly policies: readonly Policy[];
  /** So many different clients take turns. Default: 1. */
  readonly keys?: number;
  /** The request is refused, so there is no response. */
  readonly refuses?: boolean;
}

const HEADERS = { request: { set: { "x-a": "1" } }, response: { set: { "x-b": "1" } } };
const MANY = 100_000;
const key = { header: "x-tenant" };
/** So fast that nothing is refused; three that are counted by two keys. */
const fast = { requests: 1_000_000, per: "1s" };
const three = [
  { name: "second", ...fast },
  { name: "minute", requests: 1_000_000, per: "100ms" },
  { name: "all", ...fast, key: "route" },
];
/** One in 30 days, so everything but the first is refused. */
const slow = { limits: [{ requests: 1, per: "720h" }], key };

const VARIANTS: Readonly<Record<string, () => Setting | Promise<Setting>>> = {
  "a hook that does nothing": () => ({ policies: [{ onRequest: () => undefined }] }),
  "set-header, request": async () => ({ policies: [await headers({ request: HEADERS.request })] }),
  "set-header, both": async () => ({ policies: [await headers(HEADERS)] }),
  "1 limit, route": async () => ({ policies: [await limiter({ limits: [fast], headers: "none" })] }),
  "1 limit, 1 client": async () => ({ policies: [await limiter({ limits: [fast], key, headers: "none" })] }),
  "1 limit, 100,000 clients": async () => ({
    policies: [await limiter({ limits: [fast], key, headers: "none" })],
    keys: MANY,
  }),
  "3 limits, 100,000 clients": async () => ({
    policies: [await limiter({ limits: three, key, headers: "none" })],
    keys: MANY,
  }),
  "1 limit, 1 client, RateLimit headers": async () => ({
    policies: [await limiter({ limits: [fast], key })],
  }),
  "3 limits, 100,000 clients, RateLimit headers": async () => ({
    policies: [await limiter({ limits: three, key })],
    keys: MANY,
  }),
  "respond(403), always": () => {
    const refusal = respond(403, { body: "no", headers: { "x-a": "1" } });
    return { policies: [{ onRequest: () => refusal }], refuses: true };
  },
  "429, 1 client": async () => ({ policies: [await limiter({ ...slow, headers: "none" })], refuses: true }),
  "429, 1 client, RateLimit headers": async () => ({ policies: [await limiter(slow)], refuses: true }),
};

function limiter(params: unknown): Promise<Policy> {
  return examplePolicy(rateLimiting, { folder: "rate-limiting/v1.0.0", params });
}

function headers(params: unknown): Promise<Policy> {
  return examplePolicy(setHeader, { folder: "set-header/v1.0.0", params });
}

/** One request for each client. */
function requestsOf(count: number): Uint8Array[] {
  const message = requestWith([["x-tenant", "tenant-000000"]]);
  const digits = Buffer.from(message).indexOf("000000");
  return Array.from({ length: count }, (_, index) => {
    // In no order that a cache could guess.
    const client = (index * 7919) % count;
    const copy = Buffer.from(message);
    copy.write(String(client).padStart(6, "0"), digits);
    return copy;
  });
}

const variants = Object.entries(VARIANTS).map(([name, make]) => {
  const run = async () => {
    const { keys = 1, ...setting } = await make();
    return chainRun({ ...setting, requests: requestsOf(keys) });
  };
  return [name, run] as const;
});
await compareVariants(import.meta.path, Object.fromEntries(variants));
