// What rate limiting adds to an exchange, beside set-header: kernel and chain without a socket, as bench/kernel.
//
//   bun bench/policies/rate-limiting.ts [ROUNDS] [SECONDS]
//
// Each variant runs in a process of its own, the order is turned round each time, and the table has the medians of the
// rounds: nanoseconds of CPU an exchange, of which the first line is what any policy costs.
import { join } from "node:path";
import { type Policy, type PolicyMetadata, respond } from "@policy-engine/sdk";
import * as rateLimiting from "../../examples/policies/rate-limiting/v1.0.0/policy.ts";
import * as setHeader from "../../examples/policies/set-header/v1.0.0/policy.ts";
import { compileParameters, createSecretReader } from "../../runtime/policy/parameters.ts";
import { parseDefinition } from "../../runtime/policy/parse-definition.ts";
import type { StreamAcceptor } from "../../runtime/transport/transport.ts";
import { envoyMessage, KernelDriver, testChain } from "../../test/helpers/kernel.ts";
import { summarise } from "../measure/statistics.ts";

interface Variant {
  readonly policies: readonly Policy[];
  /** So many different clients take turns. Default: 1. */
  readonly keys?: number;
  /** The request is refused, so there is no response. */
  readonly refuses?: boolean;
}

const EXAMPLES = join(import.meta.dir, "../../examples/policies");
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

const VARIANTS: Readonly<Record<string, () => Variant | Promise<Variant>>> = {
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

const METADATA = { get: (name: string) => (name === "x-route-name" ? "test" : undefined) };
const OUT = {
  send: () => {},
  end: () => {},
  fail: () => void cancelled++,
};
/** Exchanges that were not answered to their end: only the first of a limit that refuses all others. */
let cancelled = 0;
const RESPONSE = envoyMessage("response_headers", {
  headers: [
    [":status", "200"],
    ["content-type", "application/json"],
    ["content-length", "1532"],
    ["server", "orders"],
  ],
});
/** The least of many short runs is what a busy machine disturbs least. */
const SLICES = 20;

/** Parameters as the engine hands them over. */
async function make(module: unknown, folder: string, raw: unknown): Promise<Policy> {
  const text = await Bun.file(join(EXAMPLES, folder, "policy-definition.yaml")).text();
  const { definition } = parseDefinition(text, folder);
  const { parameters } = compileParameters(definition!.parameters);
  const { params, issues } = parameters!.check(raw, createSecretReader({ baseDir: "." }));
  if (issues.length > 0) throw new Error(JSON.stringify(issues));
  const { getPolicy } = module as { getPolicy(metadata: PolicyMetadata, params: unknown): Policy };
  return getPolicy({ log: { warn: console.error } } as unknown as PolicyMetadata, params);
}

function limiter(raw: unknown): Promise<Policy> {
  return make(rateLimiting, "rate-limiting/v1.0.0", raw);
}

function headers(raw: unknown): Promise<Policy> {
  return make(setHeader, "set-header/v1.0.0", raw);
}

/** One request for each client. */
function requestsOf(count: number): Uint8Array[] {
  const message = envoyMessage("request_headers", {
    headers: [
      [":method", "GET"],
      [":scheme", "https"],
      [":authority", "shop.example.com"],
      [":path", "/api/v1/orders/4711?expand=items"],
      ["user-agent", "curl/8.14.1"],
      ["accept", "*/*"],
      ["x-request-id", "0d9ad5c7-0b5f-4d3c-9a37-2d6f5a1be6ad"],
      ["x-tenant", "tenant-000000"],
    ],
    endOfStream: true,
  });
  const digits = Buffer.from(message).indexOf("000000");
  return Array.from({ length: count }, (_, index) => {
    // In no order that a cache could guess.
    const client = (index * 7919) % count;
    const copy = Buffer.from(message);
    copy.write(String(client).padStart(6, "0"), digits);
    return copy;
  });
}

async function measure(name: string, milliseconds: number): Promise<number> {
  const { policies, keys = 1, refuses = false } = await VARIANTS[name]!();
  const requests = requestsOf(keys);
  const accept = new KernelDriver(testChain(policies.map((policy) => ({ policy })))).acceptor();
  let next = 0;
  const run = (exchanges: number): void => {
    for (let index = 0; index < exchanges; index++) {
      next = next + 1 === requests.length ? 0 : next + 1;
      exchange(accept, requests[next]!, refuses);
    }
  };
  run(1.5 * MANY);
  const slices: number[] = [];
  for (let slice = 0; slice < SLICES; slice++) {
    const until = performance.now() + milliseconds / SLICES;
    const before = process.cpuUsage();
    let exchanges = 0;
    for (; performance.now() < until; exchanges += 1000) run(1000);
    const { user, system } = process.cpuUsage(before);
    slices.push(((user + system) * 1000) / exchanges);
  }
  if (cancelled > 1) throw new Error(`${cancelled} exchanges went another way than the variant says`);
  return Math.min(...slices);
}

function exchange(accept: StreamAcceptor, request: Uint8Array, refuses: boolean): void {
  const stream = accept(METADATA, OUT);
  stream.message(request);
  if (!refuses) stream.message(RESPONSE);
  stream.cancel();
}

async function measureApart(name: string, seconds: string): Promise<number> {
  const child = Bun.spawn([process.execPath, import.meta.path, "--variant", name, seconds], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`Cannot measure ${JSON.stringify(name)}: it failed`);
  return Number(text);
}

async function main(rounds: number, seconds: string): Promise<void> {
  const names = Object.keys(VARIANTS);
  const measured = new Map<string, number[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      measured.get(name)!.push(await measureApart(name, seconds));
    }
  }
  console.log(`| Variant | ns an exchange, median | of ${rounds} rounds |\n| --- | --- | --- |`);
  for (const [name, values] of measured) {
    const { median, min, max } = summarise(values);
    console.log(`| ${name} | ${Math.round(median)} | ${Math.round(min)} to ${Math.round(max)} |`);
  }
}

const [first = "5", second = "1", third = "1"] = process.argv.slice(2);
if (first === "--variant") console.log(await measure(second, Number(third) * 1000));
else await main(Number(first), second);
