// What the benchmarks of policies have in common: kernel and chain without a socket, as bench/kernel.
import { join } from "node:path";
import type { Policy, PolicyMetadata } from "@policy-engine/sdk";
import { compileParameters, createSecretReader } from "../../runtime/policy/parameters.ts";
import { parseDefinition } from "../../runtime/policy/parse-definition.ts";
import type { OutgoingStream, StreamAcceptor } from "../../runtime/transport/transport.ts";
import { envoyMessage, type HeaderPairs, KernelDriver, testChain } from "../../test/helpers/kernel.ts";
import { summarise } from "../measure/statistics.ts";

/** Makes what is measured: something that runs so many exchanges. */
export type Variant = () => Run | Promise<Run>;
export type Run = (exchanges: number) => void | Promise<void>;

const EXAMPLES = join(import.meta.dir, "../../examples/policies");
/** Before anything is measured. */
const WARM_UP = 150_000;
/** The least of many short runs is what a busy machine disturbs least. */
const SLICES = 20;
/** Exchanges between two looks at the clock. */
const BATCH = 1000;

const METADATA = { get: (name: string) => (name === "x-route-name" ? "test" : undefined) };
const RESPONSE = envoyMessage("response_headers", {
  headers: [
    [":status", "200"],
    ["content-type", "application/json"],
    ["content-length", "1532"],
    ["server", "orders"],
  ],
});

/** A request as Envoy shows it, with these headers beside the usual ones; `address` is the client's, with its port. */
export function requestWith(
  headers: HeaderPairs,
  { method = "GET", address }: { method?: string | undefined; address?: string } = {},
): Uint8Array {
  const attributes = { "envoy.filters.http.ext_proc": { "source.address": address ?? "" } };
  return envoyMessage("request_headers", {
    ...(address !== undefined && { extra: { attributes } }),
    headers: [
      [":method", method],
      [":scheme", "https"],
      [":authority", "shop.example.com"],
      [":path", "/api/v1/orders/4711?expand=items"],
      ["user-agent", "curl/8.14.1"],
      ["accept", "*/*"],
      ["x-request-id", "0d9ad5c7-0b5f-4d3c-9a37-2d6f5a1be6ad"],
      ...headers,
    ],
    endOfStream: true,
  });
}

/** A policy of the examples, with parameters as the engine hands them over. */
export async function examplePolicy(
  module: unknown,
  {
    folder,
    params: raw,
    metadata = {},
  }: { folder: string; params: unknown; metadata?: Partial<PolicyMetadata> },
): Promise<Policy> {
  const text = await Bun.file(join(EXAMPLES, folder, "policy-definition.yaml")).text();
  const { definition } = parseDefinition(text, folder);
  const { parameters } = compileParameters(definition!.parameters);
  const { params, issues } = parameters!.check(raw, createSecretReader({ baseDir: "." }));
  if (issues.length > 0) throw new Error(JSON.stringify(issues));
  const { getPolicy } = module as {
    getPolicy(metadata: PolicyMetadata, params: unknown): Policy | Promise<Policy>;
  };
  const signal = new AbortController().signal;
  return getPolicy(
    { log: { warn: console.error }, signal, ...metadata } as unknown as PolicyMetadata,
    params,
  );
}

export interface ChainRun {
  readonly policies: readonly Policy[];
  /** They take turns. */
  readonly requests: readonly Uint8Array[];
  /** Whether the policies refuse requests, so that there is no response. Default: false. */
  readonly refuses?: boolean;
  /** Whether each answer is waited for: a policy is asynchronous. Default: false. */
  readonly waits?: boolean;
}

/** Exchanges of a chain of policies, one after the other. */
export function chainRun({ policies, requests, refuses = false, waits = false }: ChainRun): Run {
  const accept = new KernelDriver(testChain(policies.map((policy) => ({ policy })))).acceptor();
  let next = 0;
  const step = () => {
    next = next + 1 === requests.length ? 0 : next + 1;
    return requests[next]!;
  };
  if (waits) {
    return async (exchanges) => {
      for (let index = 0; index < exchanges; index++) await answered(accept, step());
    };
  }
  let faults = 0;
  const out: OutgoingStream = { send: () => false, end: () => {}, fail: () => void faults++ };
  return (exchanges) => {
    for (let index = 0; index < exchanges; index++) {
      const stream = accept(METADATA, out);
      stream.message(step());
      if (!refuses) stream.message(RESPONSE);
      stream.cancel();
    }
    // A first one may differ: what is counted begins with it.
    if (faults > 1) throw new Error(`${faults} exchanges went another way than the variant says`);
  };
}

function answered(accept: StreamAcceptor, request: Uint8Array): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const send = () => {
    resolve();
    return false;
  };
  const stream = accept(METADATA, { send, end: resolve, fail: reject });
  stream.message(request);
  return promise.finally(() => stream.cancel());
}

/**
 * Measures each variant in a process of its own, with the order turned round each time, and prints a table with the
 * medians of the rounds: nanoseconds of CPU an exchange. Arguments of the program: rounds (5), seconds for each (1).
 */
export async function compareVariants(
  file: string,
  variants: Readonly<Record<string, Variant>>,
): Promise<void> {
  const [first = "5", second = "1", third = "1"] = process.argv.slice(2);
  if (first === "--variant") {
    console.log(await measure(await variants[second]!(), Number(third) * 1000));
    process.exit(0);
  }
  const names = Object.keys(variants);
  const measured = new Map<string, number[]>(names.map((name) => [name, []]));
  for (let round = 0; round < Number(first); round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      measured.get(name)!.push(await measureApart(file, { name, seconds: second }));
    }
  }
  console.log(`| Variant | ns an exchange, median | of ${first} rounds |\n| --- | --- | --- |`);
  for (const [name, values] of measured) {
    const { median, min, max } = summarise(values);
    console.log(`| ${name} | ${Math.round(median)} | ${Math.round(min)} to ${Math.round(max)} |`);
  }
}

async function measure(run: Run, milliseconds: number): Promise<number> {
  const warmUntil = performance.now() + milliseconds;
  for (let done = 0; done < WARM_UP && performance.now() < warmUntil; done += BATCH) await run(BATCH);
  const slices: number[] = [];
  for (let slice = 0; slice < SLICES; slice++) {
    const until = performance.now() + milliseconds / SLICES;
    const before = process.cpuUsage();
    let exchanges = 0;
    for (; performance.now() < until; exchanges += BATCH) await run(BATCH);
    const { user, system } = process.cpuUsage(before);
    slices.push(((user + system) * 1000) / exchanges);
  }
  return Math.min(...slices);
}

async function measureApart(
  file: string,
  { name, seconds }: { name: string; seconds: string },
): Promise<number> {
  const child = Bun.spawn([process.execPath, file, "--variant", name, seconds], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`Cannot measure ${JSON.stringify(name)}: it failed`);
  return Number(text);
}
