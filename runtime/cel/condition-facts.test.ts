import { describe, expect, test } from "bun:test";
import { compileCondition } from "./compile-condition.ts";
import { conditionFacts } from "./condition-facts.ts";

function factsOf(source: string): ReturnType<typeof conditionFacts> {
  const { condition, problems } = compileCondition(source);
  expect(problems).toEqual([]);
  return conditionFacts(condition!);
}

describe("conditionFacts() names what a condition reads", () => {
  test.each([
    ["true", []],
    ['request.Path == "/"', ["request", "Request.path"]],
    ['request["Headers"]["x"] == ""', ["request", "Request.headers"]],
    ['request.original.path == ""', ["request", "Request.original", "Original.path"]],
    ['cel.bind(q, request.query, q.a == "")', ["request", "Request.query"]],
    ['["x"].exists(route, route == "x") == true', undefined],
    ['auth.subject == "a" || route == "b"', ["auth", "Auth.subject", "route"]],
    ["response.status == 200", ["response", "Response.status"]],
  ])("%s", (source, names) => {
    if (names === undefined) expect(compileCondition(source).problems).not.toEqual([]);
    else expect([...factsOf(source).names].sort()).toEqual([...names].sort());
  });
});

describe("conditionFacts() tells constants", () => {
  test.each([
    ["false", false],
    ["1 > 2", false],
    ['"a" in ["b"]', false],
    ['false && request.path == "/"', false],
    ['request.headers["x"] == "1" && false', false],
    ['(route == "a" || false) && 1 == 2', false],
    ["response.status == 200 && false", false],
    ["true", true],
    ['route == "a" || true', true],
    ['request.path == "/"', undefined],
    ['true && route == "a"', undefined],
    ["client.port > 0", undefined],
    ["metadata.a == 1", undefined],
    ["auth.subject == ''", undefined],
    ['has(metadata.a) && metadata.a == "b"', undefined],
    ["has(request.headers.a)", undefined],
    ["!has(auth.claims.a) && !has(request.original)", undefined],
    ["has(response.headers.a) || has(client.address)", undefined],
    ['"a" in metadata', undefined],
    ['[1].exists(x, route == "a")', undefined],
    ['time < timestamp("2020-01-01T00:00:00Z")', undefined],
    ["[1][2] == 1", undefined],
  ])("%s", (source, constant) => {
    expect(factsOf(source).constant).toBe(constant as boolean);
  });
});
