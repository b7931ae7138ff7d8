// The kernel and the chain without a socket: the bytes of Envoy's messages go in, the bytes of answers come out.
// One variant a process: `bun bench/kernel/exchange.ts VARIANT [SECONDS]`, which prints nanoseconds of CPU an exchange.

import type { Policy } from "@policy-engine/sdk";
import { compileCondition } from "../../runtime/cel/compile-condition.ts";
import type { StreamAcceptor } from "../../runtime/transport/transport.ts";
import { envoyMessage, KernelDriver, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { BROWSER_HEADERS } from "../browser-headers.ts";

/** 20 headers. */
const REQUEST = envoyMessage("request_headers", {
  headers: [
    [":method", "GET"],
    [":scheme", "https"],
    [":authority", "shop.example.com"],
    [":path", "/api/v1/orders/4711?expand=items&currency=EUR"],
    ...BROWSER_HEADERS,
    ["x-envoy-expected-rq-timeout-ms", "15000"],
    ["x-tenant", "acme"],
    ["te", "trailers"],
  ],
  endOfStream: true,
});
/** 12 headers. */
const RESPONSE = envoyMessage("response_headers", {
  headers: [
    [":status", "200"],
    ["content-type", "application/json; charset=utf-8"],
    ["content-length", "1532"],
    ["date", "Sun, 22 Nov 2026 10:00:00 GMT"],
    ["server", "orders"],
    ["etag", '"33a64df551425fcc55e4d42a148795d9"'],
    ["cache-control", "private, max-age=0"],
    ["vary", "accept-encoding"],
    ["x-upstream", "orders-7d9f"],
    ["x-runtime", "0.0123"],
    ["strict-transport-security", "max-age=63072000"],
    ["x-envoy-upstream-service-time", "12"],
  ],
  endOfStream: false,
});

function setsHeader(name: string): Policy {
  return {
    onRequest: (ctx) => ({ setHeaders: { [name]: ctx.headers.get("x-tenant") ?? "none" } }),
    onResponse: (ctx) => ({ setHeaders: { [name]: ctx.headers.get("server") ?? "none" } }),
  };
}

function step(name: string, condition?: string): TestStep {
  const compiled = condition === undefined ? undefined : compileCondition(condition).condition!;
  return { policy: setsHeader(name), ...(compiled && { condition: compiled }) };
}

const VARIANTS: Readonly<Record<string, readonly TestStep[]>> = {
  empty: [],
  "1": [step("x-policy-1")],
  "5": [1, 2, 3, 4, 5].map((index) => step(`x-policy-${index}`)),
  "5-cel": [
    step("x-policy-1"),
    step("x-policy-2", 'request.method == "GET"'),
    step("x-policy-3"),
    step("x-policy-4", 'request.path.startsWith("/api/") && request.headers["x-tenant"] == "acme"'),
    step("x-policy-5"),
  ],
};

/** The least of many short runs is what a busy machine disturbs least. */
const SLICES = 20;

const METADATA = { get: (name: string) => (name === "x-route-name" ? "test" : undefined) };
const OUT = {
  send(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    sent += end - start;
    return false;
  },
  end: () => {},
  fail: () => void failed++,
};
let sent = 0;
let failed = 0;

function run(accept: StreamAcceptor, milliseconds: number): number {
  const startedAt = performance.now();
  const before = process.cpuUsage();
  let exchanges = 0;
  while (performance.now() - startedAt < milliseconds) {
    for (let index = 0; index < 200; index++) {
      const stream = accept(METADATA, OUT);
      stream.message(REQUEST);
      stream.message(RESPONSE);
      stream.cancel();
    }
    exchanges += 200;
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / exchanges;
}

const [variant = "1", seconds = "2"] = process.argv.slice(2);
const steps = VARIANTS[variant];
if (steps === undefined) {
  console.error(
    `Cannot measure ${JSON.stringify(variant)}: one of ${Object.keys(VARIANTS).join(", ")} is needed`,
  );
  process.exit(2);
}
const accept = new KernelDriver(testChain(steps)).acceptor();
run(accept, 500);
const slices = Array.from({ length: SLICES }, () => run(accept, (Number(seconds) * 1000) / SLICES)).sort(
  (a, b) => a - b,
);
if (failed > 0) throw new Error(`${failed} exchanges failed`);
const nanoseconds = { least: Math.round(slices[0]!), median: Math.round(slices[SLICES / 2]!) };
console.log(JSON.stringify({ variant, nanoseconds, bytes: sent }));
