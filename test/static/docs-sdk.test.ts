// The tables about hooks, contexts and results name what the SDK has, all of it and nothing else.
import { expect, test } from "bun:test";
import type {
  EndContext,
  HeadersView,
  PolicyMetadata,
  RequestChanges,
  RequestContext,
  RespondOptions,
  ResponseChanges,
  ResponseContext,
} from "@policy-engine/sdk";
import { SDK_VERSION } from "@policy-engine/sdk";
import { codesIn, namesIn, tableOf, textOf } from "./doc-parts.ts";

const POLICIES = "docs/writing-policies.md";

// The compiler keeps these lists whole: a member that is new or gone is a type error here.
const REQUEST = keysOf<RequestContext>({
  ...{ requestId: 1, route: 1, metadata: 1, log: 1, headers: 1, method: 1, path: 1, rawPath: 1, query: 1 },
  ...{ authority: 1, scheme: 1, original: 1, client: 1, attributes: 1, signal: 1, body: 1, text: 1, json: 1 },
  ...{ rawQuery: 1 },
});
const RESPONSE = keysOf<ResponseContext>({
  ...{ requestId: 1, route: 1, metadata: 1, log: 1, headers: 1, request: 1, status: 1, denied: 1 },
  ...{ signal: 1, body: 1, text: 1, json: 1 },
});
const END = keysOf<EndContext>({ requestId: 1, route: 1, metadata: 1, log: 1, outcome: 1, reason: 1 });
const HEADER_CHANGES = { removeHeaders: 1, setHeaders: 1, addHeadersIfAbsent: 1, appendHeaders: 1 } as const;
const REQUEST_CHANGES = keysOf<RequestChanges>({
  ...HEADER_CHANGES,
  ...{ path: 1, query: 1, method: 1, authority: 1, reroute: 1, dynamicMetadata: 1, body: 1 },
});
const RESPONSE_CHANGES = keysOf<ResponseChanges>({
  ...HEADER_CHANGES,
  ...{ status: 1, dynamicMetadata: 1, body: 1 },
});
const RESPOND = keysOf<RespondOptions>({ headers: 1, body: 1, reason: 1, grpcStatus: 1 });
const METADATA = keysOf<PolicyMetadata>({
  ...{ name: 1, version: 1, route: 1, log: 1, signal: 1, engine: 1, build: 1, previous: 1, expression: 1 },
});
const HEADERS = keysOf<HeadersView>({ get: 1, getAll: 1, getBytes: 1, has: 1, entries: 1 });

function keysOf<T>(keys: Record<keyof T, 1>): string[] {
  return Object.keys(keys).sort();
}

/** The names of the rows whose second column names the hook. */
async function namedFor(heading: string, hook: string): Promise<string[]> {
  const { rows } = await tableOf(POLICIES, heading, "Property");
  return rows
    .filter((row) => codesIn(row[1]!).includes(hook))
    .flatMap((row) => codesIn(row[0]!))
    .sort();
}

test("what hooks see is documented for each hook", async () => {
  const heading = "What hooks see";
  expect(await namedFor(heading, "onRequest")).toEqual(REQUEST);
  expect(await namedFor(heading, "onResponse")).toEqual(RESPONSE);
  expect(await namedFor(heading, "onEnd")).toEqual(END);
  const text = await textOf(POLICIES);
  for (const name of HEADERS) expect(text).toContain(`\`${name}\``);
});

test("what hooks return is documented for each hook", async () => {
  const heading = "What hooks return";
  expect(await namedFor(heading, "onRequest")).toEqual(REQUEST_CHANGES);
  expect(await namedFor(heading, "onResponse")).toEqual(RESPONSE_CHANGES);
  expect(namesIn(await tableOf(POLICIES, heading, "Option"))).toEqual(RESPOND);
});

test("what getPolicy is told is documented", async () => {
  expect(namesIn(await tableOf(POLICIES, "What `getPolicy` is told", "Property"))).toEqual(METADATA);
  expect(await textOf(POLICIES)).toContain(`The SDK is ${SDK_VERSION}`);
});
