// Requests and responses for the tests of this room, written without the rooms above it.
import type { HeadersView } from "@policy-engine/sdk";
import { type Condition, type ConditionInput, compileCondition } from "./compile-condition.ts";

type Lines = readonly (readonly [name: string, value: string])[];

export interface Facts {
  readonly path?: string;
  readonly rawPath?: string;
  readonly rawQuery?: string;
  readonly method?: string;
  readonly authority?: string;
  readonly headers?: Lines;
  readonly body?: string | null;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly response?: { readonly status: number; readonly headers?: Lines; readonly body?: string | null };
}

export function exchange(facts: Facts = {}): ConditionInput {
  const metadata = new Map(Object.entries(facts.metadata ?? {}));
  const { rawQuery = "", response } = facts;
  const request = {
    path: facts.path ?? "/api/customers",
    rawPath: facts.rawPath ?? "//api/customers",
    rawQuery,
    query: new URLSearchParams(rawQuery),
    method: facts.method ?? "GET",
    authority: facts.authority ?? "Shop.example:8443",
    scheme: "https",
    headers: headersOf(facts.headers ?? []),
    original: {
      path: "/before?x=1",
      method: "PUT",
      authority: "first.example",
      scheme: "http",
      headers: headersOf([["x-first", "yes"]]),
    },
    text: () => (facts.body === undefined ? "" : facts.body),
    client: { address: "192.0.2.7", port: 40_000 },
  };
  if (response === undefined) return { ...request, metadata, route: "orders" };
  const { status, headers = [], body = "" } = response;
  return { request, status, headers: headersOf(headers), text: () => body, metadata, route: "orders" };
}

export function compiled(source: string): Condition {
  const { condition, problems } = compileCondition(source);
  if (condition === undefined) throw new Error(problems.join("\n"));
  return condition;
}

/** What an expression decides for an exchange. */
export function decide(source: string, facts?: Facts): boolean {
  return compiled(source).evaluate(exchange(facts));
}

export function headersOf(lines: Lines): HeadersView {
  const named = (name: string) =>
    lines.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
  return {
    get: (name) => (named(name).length === 0 ? undefined : named(name).join(", ")),
    getAll: named,
    getBytes: (name) => named(name).map((value) => new TextEncoder().encode(value)),
    has: (name) => named(name).length > 0,
    entries: () => lines.map(([name, value]): [string, string] => [name, value]).values(),
  };
}
