// Conditions as people write them, and one exchange to evaluate them over.

import type { ExchangeFacts } from "../../runtime/chain/contexts.ts";
import { headerList } from "../../runtime/chain/header-list.ts";
import { RequestMessage, ResponseMessage } from "../../runtime/chain/messages.ts";
import { BROWSER_HEADERS } from "../browser-headers.ts";

/** All of them are true of the exchange. */
export const CONDITIONS: readonly string[] = [
  'request.method == "GET"',
  'request.path.startsWith("/api/") && request.headers["x-tenant"] == "acme"',
  'request.method in ["GET", "HEAD", "OPTIONS"]',
  '"editor" in auth.claims.roles',
  'request.headers["authorization"] == "" || auth.subject != ""',
  'request.path.matches("^/api/v[0-9]+/orders/[0-9]+$")',
  "response.status >= 500",
  'auth.claims.roles.exists(role, role == "editor")',
  'metadata.environment == "staging"',
];

const LINES: readonly (readonly [string, string])[] = [
  ...BROWSER_HEADERS,
  ["authorization", "Bearer eyJhbGciOiJSUzI1NiJ9"],
  ["x-tenant", "acme"],
];

const METADATA = new Map<string, unknown>([
  ["environment", "staging"],
  [
    "auth",
    { subject: "ann", scheme: "Bearer", claims: { sub: "ann", roles: ["viewer", "author", "editor"] } },
  ],
]);

const CLIENT = { address: "203.0.113.7", port: 40_000 };
const PATH = "/api/v1/orders/4711";
const AUTHORITY = "shop.example.com";

export const FACTS: ExchangeFacts = {
  requestId: "0d9ad5c7-0b5f-4d3c-9a37-2d6f5a1be6ad",
  route: "orders",
  metadata: METADATA,
};

export const REQUEST = new RequestMessage({
  method: "GET",
  path: `${PATH}?expand=items`,
  authority: AUTHORITY,
  scheme: "https",
  lines: headerList(LINES.map(([name, value]) => ({ name, value }))),
  client: CLIENT,
  attributes: {},
});

export const RESPONSE = new ResponseMessage({
  status: 503,
  lines: headerList([{ name: "server", value: "orders" }]),
});

/** The same exchange in plain maps, for evaluators that take those. */
export function plainVariables(): Readonly<Record<string, unknown>> {
  return {
    request: new Map<string, unknown>([
      ["method", "GET"],
      ["path", PATH],
      ["authority", AUTHORITY],
      ["headers", new Map(LINES)],
    ]),
    response: new Map<string, unknown>([
      ["status", 503n],
      ["headers", new Map([["server", "orders"]])],
    ]),
    metadata: toMaps(Object.fromEntries(METADATA)),
    auth: toMaps(METADATA.get("auth")),
    client: toMaps(CLIENT),
    route: "orders",
  };
}

function toMaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toMaps);
  if (typeof value !== "object" || value === null) return value;
  return new Map(Object.entries(value).map(([key, item]) => [key, toMaps(item)]));
}
