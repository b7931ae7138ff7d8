import { expect, test } from "bun:test";
import { headersSet } from "./headers-set.ts";

const SCHEMA = {
  type: "object",
  properties: {
    subject: { type: "string", setsHeader: "request" },
    names: { type: "array", items: { type: "string" }, setsHeader: "response" },
    map: { type: "object", additionalProperties: { type: "string" }, setsHeader: "request" },
    request: { $ref: "#/$defs/changes", patternProperties: { "^set$": { setsHeader: "request" } } },
    response: { $ref: "#/$defs/changes", patternProperties: { "^set$": { setsHeader: "response" } } },
    list: { type: "array", items: { properties: { name: { type: "string", setsHeader: "response" } } } },
    plain: { type: "string" },
  },
  $defs: { changes: { properties: { set: { type: "object" }, remove: { type: "array" } } } },
};

const namesOf = (params: unknown): string[] =>
  headersSet(SCHEMA, params).map(({ direction, name, pointer }) => `${direction} ${name} ${pointer}`);

test("headersSet() finds texts, items and keys, in lower case, with their place", () => {
  expect(namesOf({ subject: "X-User", plain: "x-plain" })).toEqual(["request x-user /subject"]);
  expect(namesOf({ names: ["X-A", 1, "x-b"] })).toEqual(["response x-a /names/0", "response x-b /names/2"]);
  expect(namesOf({ map: { "X-A/B": "sub" } })).toEqual(["request x-a/b /map/X-A~1B"]);
});

test("headersSet() tells directions that share a schema apart", () => {
  const changes = { set: { "x-a": "1" }, remove: ["x-b"] };
  expect(namesOf({ request: changes })).toEqual(["request x-a /request/set/x-a"]);
  expect(namesOf({ response: changes })).toEqual(["response x-a /response/set/x-a"]);
});

test("headersSet() looks into lists, and names a header once", () => {
  expect(namesOf({ list: [{ name: "x-a" }, { name: "X-A" }, {}] })).toEqual(["response x-a /list/1/name"]);
});

test("headersSet() finds nothing where nothing is marked or given", () => {
  expect(namesOf({})).toEqual([]);
  expect(namesOf({ subject: "", plain: "x" })).toEqual([]);
  expect(headersSet({ properties: { name: { type: "string" } } }, { name: "x-a" })).toEqual([]);
});
