import { describe, expect, test } from "bun:test";
import type { CelError } from "./cel-error.ts";
import { compileCondition } from "./compile-condition.ts";
import { compiled, decide, exchange } from "./condition-fixtures.ts";

function problemsOf(source: unknown): string[] {
  const { condition, problems } = compileCondition(source);
  expect(condition).toBeUndefined();
  expect(problems.length).toBeGreaterThan(0);
  return problems;
}

describe("what does not compile", () => {
  test.each([[undefined], [null], [7], [true], [{}], [["true"]], [""], [" \n"]])(
    "%j is no text",
    (source) => {
      expect(problemsOf(source)).toEqual([
        "Cannot compile condition: it is no text, a CEL expression is needed",
      ]);
    },
  );

  test.each([
    ["request.path.startsWith(", "unexpected token: EOF at character 25"],
    ["1 +", "at character 4"],
    ["route == 'x' and true", "unexpected"],
    [
      "request.path",
      'its value is of type string, a bool is needed, as a comparison such as "== true" gives',
    ],
    ["metadata.flag", "its value is of type dyn, a bool is needed"],
    ["[true]", "its value is of type list<bool>"],
    ["request.path == 1", "no such overload: string == int at character 1"],
    ["request.path && true", "logical operator requires bool operands, got 'string'"],
    ["response.status.startsWith('4')", "found no matching overload for 'int.startsWith(string)'"],
    ["requst.path == ''", 'unknown variable "requst" at character 1, did you mean "request"?'],
    ["foo == 1", "one of request, response, metadata, route, client, auth, time is needed"],
    ["request.pth == ''", 'unknown field "pth" of "request" at character 9, did you mean "path"?'],
    ["request.PATH == ''", 'unknown field "PATH" of "request" at character 9, did you mean "path"?'],
    ["request['mehtod'] == ''", 'unknown field "mehtod" of "request"'],
    ["response.code == 1", "one of status, headers, body is needed"],
    ["request.original.body == ''", 'unknown field "body" of "original"'],
    ["has(request.nope)", 'unknown field "nope" of "request"'],
    ["client.ip == ''", 'unknown field "ip" of "client"'],
    ["auth.subjet == ''", 'did you mean "subject"?'],
    [
      "request.path.startWith('/')",
      'unknown function "startWith" at character 1, did you mean "startsWith"?',
    ],
    ["sise(request.path) == 1", 'unknown function "sise" at character 1, did you mean "size"?'],
    ["request[request.method] == ''", 'a field of "request" is computed'],
    ["response['bo' + 'dy'] == ''", 'a field of "response" is computed'],
    ["request == request", '"request" is used as a whole at character 1, one of its fields is needed'],
    ["cel.bind(r, request, r.body == '')", '"request" is used as a whole at character 13'],
    ["[request].exists(r, r.body == '')", '"request" is used as a whole'],
    ["[1].all(request, true)", '"request" is a variable already at character 9, another name is needed'],
    ["request.path.matches('(')", "the regular expression is not well-formed at character 22"],
    ["request.path.matches('(?=a)')", "the regular expression is not well-formed"],
    ["request.path.matches('(a{1000}){1000}')", "the regular expression"],
    [`request.path.matches('${"a{900}".repeat(3)}')`, "compiles to 2702 instructions, more than 2000"],
    [`request.path.matches('(${"a".repeat(900)}){1000}')`, "repeats too many characters"],
    [`request.path.matches('${"a".repeat(1_025)}')`, "is longer than 1024 characters"],
    ["[1].all(a, [2].all(b, [3].all(c, true)))", "macros are nested deeper than 2 levels"],
    ["cel.bind(a, 1, cel.bind(b, 2, [3].all(c, true)))", "macros are nested deeper than 2 levels"],
    ["request.?path == ''", "at character 9"],
    ["__proto__ == 1", "at character"],
    ["constructor == 1", 'unknown variable "constructor"'],
    ["request.constructor == 1", 'unknown field "constructor" of "request"'],
    ["request['__proto__'] == 1", 'unknown field "__proto__" of "request"'],
    ["request.toString() == ''", 'unknown function "toString"'],
  ])("%s", (source, message) => {
    const [first = ""] = problemsOf(source);
    expect(first).toStartWith('Cannot compile condition "');
    expect(first).toContain(message);
    expect(first).not.toMatch(/\n|\.$/);
  });

  test("every unknown name is told at once, in order", () => {
    const problems = problemsOf("request.pth == '' && respons.status == 1 && route.startWith('a')");
    expect(problems.map((problem) => problem.slice(problem.indexOf('": ') + 3))).toEqual([
      'unknown field "pth" of "request" at character 9, did you mean "path"?',
      'unknown variable "respons" at character 22, did you mean "response"?',
      'unknown function "startWith" at character 45, did you mean "startsWith"?',
    ]);
  });

  test("a long source is not quoted whole", () => {
    const [problem = ""] = problemsOf(`${"x".repeat(3_000)} == 1`);
    expect(problem.length).toBeLessThan(400);
  });
});

describe("what cannot be evaluated", () => {
  test.each([
    ["1 / size(request.headers) == 1", "division_by_zero", "at character"],
    ["metadata.none == 1", "no_such_key", "no such key at character 10"],
    ["int(request.path) == 1", "int_conversion_error", ""],
    ["metadata.count && true", "invalid_logical_operand", ""],
    ["metadata.count + 1 == 2", "no_such_overload", ""],
    ["metadata.list[7] == 1", "index_out_of_bounds", ""],
    ["metadata.odd == 1", "unsupported_type", ""],
    ["metadata.later == 1", "unsupported_type", ""],
    ["1 != metadata.later", "unsupported_type", "at character 15"],
    ["metadata['odd'] in [1]", "unsupported_type", ""],
    ["bytes(metadata.secret).json() == {}", "invalid_json", "at character"],
    ["time.getHours(metadata.secret) == 1", "invalid_time_zone", "at character"],
    ["bool(metadata.secret)", "bool_conversion_error", ""],
    ["'a'.matches(metadata.secret)", "invalid_regular_expression", ""],
    ["metadata.count.matches('1')", "no_such_overload", ""],
    ["metadata.count.lowerAscii() == ''", "no_such_overload", ""],
  ])("%s", (source, code, place) => {
    const metadata = {
      count: 1,
      list: [1],
      odd: new URL("http://x"),
      later: Promise.resolve(1),
      secret: "hunter2(",
    };
    let thrown: unknown;
    try {
      compiled(source).evaluate(exchange({ metadata }));
    } catch (error) {
      thrown = error;
    }
    expect((thrown as CelError).name).toBe("CelError");
    expect((thrown as CelError).code).toBe(code);
    expect(String(thrown)).toContain(place);
    expect(String(thrown)).not.toContain("hunter2");
    expect(thrown).toBeInstanceOf(Error);
  });

  test("a getter of the context that throws is an error like any other", () => {
    const input = Object.defineProperty(exchange(), "method", {
      get() {
        throw new Error("hunter2");
      },
    });
    expect(() => compiled('request.method == "GET"').evaluate(input)).toThrow("internal error");
  });

  test("an error on a side that does not matter is none", () => {
    expect(decide("metadata.none == 1 || true")).toBe(true);
    expect(decide("metadata.none == 1 && false")).toBe(false);
    expect(() => decide("metadata.none == 1 || false")).toThrow("no such key");
  });
});

describe("what it reads", () => {
  const none = { requestBody: false, response: false, responseBody: false };
  const body = { ...none, requestBody: true };
  const response = { ...none, response: true };
  const responseBody = { ...response, responseBody: true };

  test.each([
    ["true", none],
    ['request.path == "/body"', none],
    ['request.headers["body"] == "request.body"', none],
    ['metadata.body == "x" && auth.claims.body == "y"', none],
    ['request.original.headers.body == ""', none],
    ['["response.body"].exists(body, body == route)', none],
    ['request.body == ""', body],
    ['request.Body == ""', body],
    ['request["body"] == ""', body],
    ['request["Body"] == ""', body],
    ["request['bo\\u0064y'] == ''", body],
    ['(request).body == ""', body],
    ["has(request.body)", body],
    ["false && request.body.size() > 1", body],
    ['true ? true : {"a": [request.body]}.a[0] == ""', body],
    ["request.headers.exists(h, request.body.contains(h))", body],
    ["cel.bind(b, request.body, b.size() > 2)", body],
    ['-size(request.body) < 0 && !("x" in [request.body])', body],
    ["response.status == 200", response],
    ['response["Headers"].x == ""', response],
    ['response.body == ""', responseBody],
    ["response.Body == request.Body", { requestBody: true, response: true, responseBody: true }],
  ])("%s", (source, reads) => {
    expect(compiled(source).reads).toEqual(reads);
  });
});

describe("what is mended in cel-js", () => {
  test("lowerAscii and upperAscii leave other letters alone", () => {
    expect(decide('"ÀB\\u212a".lowerAscii() == "Àb\\u212a" && "àbß".upperAscii() == "àBß"')).toBe(true);
  });

  test("lists and maps may mix types", () => {
    expect(decide('size([1, "a", true]) == 3 && {"a": 1, "b": "c"}.b == "c"')).toBe(true);
  });

  test("matches finds a part of the text, literal or not, also of a dynamic value", () => {
    const metadata = { pattern: "^/api/v[0-9]{1,2}/", name: "abc" };
    const path = "/api/v12/x";
    expect(decide('request.path.matches("v[0-9]+") && !request.path.matches("^v")', { path })).toBe(true);
    expect(decide("request.path.matches(metadata.pattern)", { path, metadata })).toBe(true);
    expect(decide('metadata.name.matches("^[a-c]+$")', { metadata })).toBe(true);
    expect(decide('["/x", "/y"].exists(p, request.path.matches(p + "$"))', { path })).toBe(true);
    expect(decide(String.raw`request.path.matches(r"^/api/v\d{2}/")`, { path })).toBe(true);
    const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    expect(decide(`"0b5f9a4e-1c2d-4e3f-8a9b-0c1d2e3f4a5b".matches("^${uuid}$")`)).toBe(true);
  });
});
