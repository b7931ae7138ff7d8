// Random chains and random exchanges for the model of the kernel (predict-exchange.ts). Bodies are texts of one
// character a byte.
import { gzipSync } from "node:zlib";
import type { Random } from "./random.ts";

export type Direction = "request" | "response";
export type Need = "none" | "buffered" | "raw";
export type Lines = [string, string][];

/** What one hook of a model step does. */
export type Act =
  | { readonly kind: "nothing" }
  | { readonly kind: "set" | "append" | "absent" | "remove"; readonly header: string; readonly value: string }
  | { readonly kind: "body"; readonly how: "replace" | "append" | "clear"; readonly value: string }
  /** A request's path; a response's status. */
  | { readonly kind: "path"; readonly value: string }
  | { readonly kind: "status"; readonly value: number }
  | { readonly kind: "deny"; readonly status: number }
  | { readonly kind: "throw" };

export interface ModelHook {
  readonly act: Act;
  /** Whether it takes its time. */
  readonly async: boolean;
  readonly need: Need;
}

export interface ModelStep {
  readonly request?: ModelHook;
  readonly response?: ModelHook;
  readonly onUnbufferable: "deny" | "skip";
  readonly appliesToDenials: boolean;
}

/** What follows the headers of a message. */
export type Shape = "nothing" | "data" | "data and trailers" | "trailers";

export interface ModelMessage {
  readonly lines: Lines;
  readonly shape: Shape;
  /** As it is on the wire. */
  readonly content: string;
  readonly unbufferable: boolean;
}

/**
 * How Envoy is set up: `wide` sends all there is, `narrow` only headers, `streamed` bodies in pieces, each as far
 * as the answers leave it; `fixed` is wide and does not listen to them, `unknown` is wide and does not tell.
 */
export type Base = "wide" | "narrow" | "streamed" | "fixed" | "unknown";

export interface ModelExchange {
  readonly method: string;
  readonly request: ModelMessage;
  readonly status: number;
  readonly response: ModelMessage;
  readonly reversed: boolean;
  readonly base: Base;
  readonly bodyBytes: number;
  readonly bodyMemory: number;
}

const HEADERS = ["x-a", "x-b", "set-cookie"] as const;
/** Short and long, with NUL, with bytes that are no text. */
const TEXTS = ["", "a", "hello", "nul\0\xff\x80", "0123456789".repeat(5)] as const;

/** What packed contents stand for. */
export const PACKED: ReadonlyMap<string, string> = new Map(
  TEXTS.filter((text) => text !== "").map((text) => [
    gzipSync(Buffer.from(text, "latin1")).toString("latin1"),
    text,
  ]),
);
const BROKEN = "\x1f\x8bnot gzip";

/** A chain of up to six steps. */
export function randomSteps(random: Random): ModelStep[] {
  const bodies = random.pick([0, 0.3, 0.6]);
  return Array.from({ length: random.below(7) }, () => {
    const phases = random.pick(["request", "response", "both"] as const);
    const hook = (direction: Direction): ModelHook => {
      const need = random.chance(bodies) ? random.pick(["buffered", "buffered", "raw"] as const) : "none";
      return { act: randomAct(random, direction, need), async: random.chance(0.3), need };
    };
    return {
      ...(phases !== "response" && { request: hook("request") }),
      ...(phases !== "request" && { response: hook("response") }),
      onUnbufferable: random.pick(["deny", "skip"] as const),
      appliesToDenials: random.chance(0.3),
    };
  });
}

function randomAct(random: Random, direction: Direction, need: Need): Act {
  const dice = random.next();
  if (dice < 0.05) return { kind: "deny", status: random.pick([401, 403, 429]) };
  if (dice < 0.07) return { kind: "throw" };
  if (dice < 0.2) return { kind: "nothing" };
  if (dice < 0.27) {
    if (direction === "request") return { kind: "path", value: `/p${random.below(3)}` };
    return { kind: "status", value: random.pick([200, 204, 304, 404]) };
  }
  // A policy that did not ask for the body may not change it.
  if (dice < (need === "none" ? 0.28 : 0.65)) {
    const how = random.pick(["replace", "append", "clear"] as const);
    return {
      kind: "body",
      how,
      value: random.pick(["!", "new\0\xfe", "longer than the one that was there"]),
    };
  }
  const kind = random.pick(["set", "append", "absent", "remove"] as const);
  return { kind, header: random.pick(HEADERS), value: String(random.below(4)) };
}

/** An exchange as clients and upstreams make them. */
export function randomExchange(random: Random): ModelExchange {
  const method = random.pick(["GET", "POST", "POST", "POST", "HEAD", "CONNECT"]);
  const status = random.chance(0.8) ? 200 : random.pick([101, 204, 304, 404]);
  const tight = random.chance(0.25);
  return {
    method,
    request: randomMessage(random, {
      bodiless: false,
      length: "0",
      unbufferable: method === "CONNECT",
      odd: UPGRADE,
    }),
    status,
    response: randomMessage(random, {
      bodiless: method === "HEAD" || status === 204 || status === 304,
      length: method === "HEAD" || status === 304 ? "5" : status === 204 || status === 101 ? "" : "0",
      unbufferable: status === 101,
      odd: ["content-type", "text/event-stream; charset=utf-8"],
    }),
    reversed: random.chance(0.5),
    base: random.pick(["wide", "wide", "wide", "narrow", "narrow", "fixed", "fixed", "unknown", "streamed"]),
    bodyBytes: tight ? random.pick([0, 4, 40]) : 1024,
    bodyMemory: tight ? random.pick([3, 60, 120]) : 4096,
  };
}

const UPGRADE: [string, string] = ["upgrade", "websocket"];

function randomMessage(
  random: Random,
  {
    bodiless,
    length,
    unbufferable,
    odd,
  }: { bodiless: boolean; length: string; unbufferable: boolean; odd: [string, string] },
): ModelMessage {
  const lines = HEADERS.flatMap((name) =>
    Array.from({ length: random.below(3) }, (): [string, string] => [name, String(random.below(4))]),
  );
  const isOdd = !unbufferable && random.chance(0.1);
  if (isOdd) lines.push(random.chance(0.5) ? odd : ["content-type", "application/grpc"]);
  const shapes: readonly Shape[] = bodiless
    ? ["nothing"]
    : ["nothing", "data", "data", "data and trailers", "trailers"];
  const shape = random.pick(shapes);
  const hasData = shape.startsWith("data");
  const content = hasData ? randomContent(random, lines) : "";
  // The length of a body that does not come is told too, in answer to HEAD.
  if (shape === "data" && random.chance(0.7)) lines.push(["content-length", String(content.length)]);
  else if (shape === "nothing" && length !== "" && random.chance(0.3)) lines.push(["content-length", length]);
  return { lines, shape, content, unbufferable: unbufferable || isOdd };
}

function randomContent(random: Random, lines: Lines): string {
  const dice = random.next();
  if (dice > 0.4) return random.pick(TEXTS);
  lines.push(["content-encoding", dice < 0.05 ? "rot13" : dice < 0.1 ? "identity" : "gzip"]);
  if (dice < 0.1) return random.pick(TEXTS);
  return dice < 0.15 ? BROKEN : random.pick([...PACKED.keys()]);
}
