// Random chains that read and change bodies, random exchanges for them, and a simple model of what comes out of
// both. It knows lists, loops and the rules of the order of execution, and nothing of the engine.
import { gzipSync } from "node:zlib";
import { transform, type Work } from "./body-routes.ts";
import type { PolicySpec } from "./engine.ts";
import type { Random } from "./random.ts";

/** One policy of a chain. */
export type ChainStep =
  | { readonly kind: "tag" | "tag-response"; readonly label: string }
  | { readonly kind: "deny"; readonly phase: Direction; readonly status: number }
  | { readonly kind: "transform"; readonly request?: ModelWork; readonly response?: ModelWork }
  | {
      readonly kind: "raw";
      readonly phases: readonly Direction[];
      readonly see: string;
      readonly append: string;
    }
  | { readonly kind: "throw" | "on-denials" };

export type Direction = "request" | "response";

/** What a transforming step does in one direction. */
export interface ModelWork {
  readonly see?: string;
  readonly edit: NonNullable<Work["edit"]>;
  readonly text: string;
  readonly denyAt?: number;
  readonly later: boolean;
  readonly path?: string;
  readonly method?: string;
  readonly status?: number;
}

export interface RandomChain {
  readonly route: string;
  readonly steps: readonly ChainStep[];
  readonly reversed: boolean;
}

/** How a body is sent: not at all, with its length, in chunks, or in chunks with trailers behind them. */
export type Framing = "none" | "sized" | "chunked" | "trailed";

/** A message as one side sends it. */
export interface SentMessage {
  readonly framing: Framing;
  /** As it reads. */
  readonly plain: Uint8Array;
  /** As it is sent. */
  readonly wire: Uint8Array;
  readonly coding: "gzip" | undefined;
}

export interface RandomExchange {
  readonly chain: RandomChain;
  readonly id: string;
  readonly base: number;
  readonly http2: boolean;
  readonly method: string;
  readonly path: string;
  /** The policy `deny` answers. */
  readonly denied: boolean;
  /** The policy `faulty` throws. */
  readonly faulty: boolean;
  /** The upstream answers before it has read the body. */
  readonly early: boolean;
  readonly request: SentMessage;
  readonly response: SentMessage & { readonly status: number };
}

export const EARLY: RandomExchange["response"] = {
  ...messageOf(Buffer.from("early"), { framing: "sized", coding: undefined }),
  status: 200,
};

const LARGEST = 2 * 1024 * 1024;

/** A chain of up to five policies. */
export function randomChain(random: Random, route: string): RandomChain {
  const steps: ChainStep[] = [];
  for (let index = random.below(6); index > 0; index--) steps.push(randomStep(random, { route, steps }));
  return { route, steps, reversed: random.chance(0.5) };
}

function randomStep(
  random: Random,
  { route, steps }: { route: string; steps: readonly ChainStep[] },
): ChainStep {
  const dice = random.next();
  const label = String(steps.length);
  if (dice < 0.15) return { kind: "tag", label };
  if (dice < 0.3) return { kind: "tag-response", label };
  if (dice < 0.4) {
    return {
      kind: "deny",
      phase: random.pick(["request", "response"]),
      status: random.pick([401, 403, 429]),
    };
  }
  if (dice < 0.43) return { kind: "throw" };
  if (dice < 0.5) return { kind: "on-denials" };
  if (dice < 0.62) {
    const phases = random.pick<readonly Direction[]>([["request"], ["response"], ["request", "response"]]);
    return { kind: "raw", phases, see: `x-see-${label}`, append: random.pick(["", "", "00", "ff0a"]) };
  }
  const phases = random.pick(["request", "response", "both"] as const);
  const work = (direction: Direction): ModelWork => ({
    ...(random.chance(0.5) && { see: `x-see-${label}` }),
    edit: random.pick(["none", "none", "append", "upper", "set", "empty"] as const),
    text: `text-${label}`,
    ...(random.chance(0.1) && { denyAt: random.pick([0, 1, 10]) }),
    later: random.chance(0.2),
    ...(direction === "request" && random.chance(0.2) && { path: `/${route}/moved` }),
    ...(direction === "request" && random.chance(0.1) && { method: "PATCH" }),
    ...(direction === "response" &&
      !changesStatus(steps) &&
      random.chance(0.25) && {
        status: random.pick([202, 204, 304, 418]),
      }),
  });
  return {
    kind: "transform",
    ...(phases !== "response" && { request: work("request") }),
    ...(phases !== "request" && { response: work("response") }),
  };
}

function changesStatus(steps: readonly ChainStep[]): boolean {
  return steps.some((step) => step.kind === "transform" && step.response?.status !== undefined);
}

/** The policies of a chain, as a route lists them. */
export function policiesOf({ steps }: RandomChain): PolicySpec[] {
  return steps.map(policyOf);
}

function policyOf(step: ChainStep): PolicySpec {
  switch (step.kind) {
    case "tag":
    case "tag-response":
      return { name: step.kind, parameters: { label: step.label } };
    case "deny":
      return { name: "deny", parameters: { whenHeader: "x-deny", phase: step.phase, status: step.status } };
    case "throw":
      return { name: "faulty", parameters: { how: "throw", whenHeader: "x-throw" } };
    case "on-denials":
      return { name: "on-denials" };
    case "raw":
      return {
        name: "transform-raw",
        parameters: { phases: step.phases, see: step.see, append: step.append },
      };
    case "transform":
      return transform({
        ...(step.request && { request: workOf(step.request) }),
        ...(step.response && { response: workOf(step.response) }),
      });
  }
}

function workOf({ path, method, status, ...work }: ModelWork): Work {
  const changes = {
    ...(path !== undefined && { path }),
    ...(method !== undefined && { method }),
    ...(status !== undefined && { status }),
  };
  return { ...work, changes };
}

/** An exchange for a chain: any method, framing and size there is. */
export function randomExchange(
  random: Random,
  facts: { chain: RandomChain; id: string; bases: number },
): RandomExchange {
  const { chain, id, bases } = facts;
  const method = random.pick(["GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"]);
  const framings: Framing[] = method === "HEAD" ? ["none"] : ["none", "sized", "chunked", "trailed"];
  const moves = chain.steps.some((step) => step.kind === "transform" && step.request?.path !== undefined);
  const keepsMethod =
    method === "HEAD" && chain.steps.some((step) => step.kind === "transform" && step.request?.method);
  const early = !moves && random.chance(0.04);
  const status = random.pick([200, 200, 200, 201, 404, 500, 204, 304]);
  const bodiless = method === "HEAD" || status === 204 || status === 304;
  return {
    chain,
    id,
    base: random.below(bases),
    http2: random.chance(0.3),
    method: keepsMethod ? "GET" : method,
    path: early ? `/${chain.route}/early` : `/${chain.route}?q=${id}`,
    denied: random.chance(0.15),
    faulty: random.chance(0.15),
    early,
    request: randomMessage(random, random.pick(framings)),
    response: early
      ? EARLY
      : {
          ...randomMessage(random, bodiless ? "none" : random.pick(["sized", "chunked", "trailed"])),
          status,
        },
  };
}

function randomMessage(random: Random, framing: Framing): SentMessage {
  const plain = framing === "none" ? Buffer.alloc(0) : randomBody(random);
  const coding = plain.length > 0 && random.chance(0.15) ? "gzip" : undefined;
  return messageOf(plain, { framing, coding });
}

function messageOf(plain: Uint8Array, how: Pick<SentMessage, "framing" | "coding">): SentMessage {
  return { ...how, plain, wire: how.coding === "gzip" ? gzipSync(plain) : plain };
}

/** From nothing to 2 MB; mostly short. */
function randomBody(random: Random): Uint8Array {
  const dice = random.next();
  if (dice < 0.2) return Buffer.alloc(0);
  const limit = dice < 0.7 ? 20 : dice < 0.9 ? 2000 : dice < 0.98 ? 100_000 : LARGEST;
  const bytes = Buffer.alloc(random.below(limit));
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt8(random.below(256), at);
  return bytes;
}
