import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const valid = { jwksUrl: "https://idp.example/keys", requestsPerSecond: 5 };
const SECRET = "s3cret-of-the-test";

function route(name: string, parameters: Record<string, unknown>) {
  return { route: name, policies: [{ name: "checked", parameters }] };
}

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      route("good", { ...valid, tenant: "acme", key: SECRET }),
      route("url", { ...valid, jwksUrl: "http://idp.example/keys" }),
      route("range", { ...valid, requestsPerSecond: -1 }),
      route("pattern", { ...valid, tenant: "ACME 7" }),
      route("missing", {}),
      route("unknown-key", { ...valid, jwksURL: "x" }),
      { route: "unknown-policy", policies: [{ name: "chekced", parameters: valid }] },
    ],
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

describe("FR-011, US8: parameters are checked before they take effect", () => {
  test("US8.1: a URL that is not HTTPS is refused in the policy's own words", async () => {
    expect(await problem("/routes/1/policies/0/parameters/jwksUrl")).toContain("jwksUrl must be HTTPS");
  });

  test("US8.2: a negative rate is refused with the range", async () => {
    expect(await problem("/routes/2/policies/0/parameters/requestsPerSecond")).toContain(
      "must be more than 0",
    );
  });

  test("US8.3: a value that does not match the pattern is refused with the pattern", async () => {
    expect(await problem("/routes/3/policies/0/parameters/tenant")).toContain("^[a-z]+$");
  });

  test("US8.4: missing parameters are listed, all of them", async () => {
    const line = await problem("/routes/4/policies/0/parameters");
    expect(line).toContain("jwksUrl");
    expect(line).toContain("requestsPerSecond");
  });

  test("US8.5: FR-014: valid parameters reach the policy, with defaults filled in", async () => {
    const echo = (await stack.get("/good")).echo();
    expect(JSON.parse(echo.header("x-params") ?? "")).toEqual({ ...valid, tenant: "acme", burst: 7 });
    expect(echo.header("x-key-length")).toBe(String(SECRET.length));
  });

  test("FR-012: an unknown parameter and an unknown policy are refused with a hint", async () => {
    expect(await problem("/routes/5/policies/0/parameters/jwksURL")).toContain("jwksUrl");
    expect(await problem("/routes/6/policies/0/name")).toContain("checked");
  });

  test("FR-012: a problem names file, line and column", async () => {
    expect(await problem("/routes/1/policies/0/parameters/jwksUrl")).toMatch(/routes\.yaml:\d+:\d+/);
  });

  test("FR-012: a route that was never valid answers 503 and the rest serve", async () => {
    for (const path of ["/url", "/range", "/pattern", "/missing", "/unknown-key", "/unknown-policy"]) {
      expect([path, (await stack.get(path)).status]).toEqual([path, 503]);
    }
    expect((await stack.get("/good")).status).toBe(200);
  });
});

describe("US8: a change that is wrong", () => {
  test("FR-012: does not take the place of the good chain, which serves on", async () => {
    const since = stack.engine.logs().length;
    await stack.engine.writeRoutes([route("good", { ...valid, requestsPerSecond: -7 })]);
    await stack.engine.waitForLog("/routes/0/policies/0/parameters/requestsPerSecond", since);
    const echo = (await stack.get("/good")).echo();
    expect(JSON.parse(echo.header("x-params") ?? "").requestsPerSecond).toBe(5);
  });

  test("FR-012: is forgotten when a good one follows", async () => {
    await stack.engine.writeRoutes([route("good", { ...valid, requestsPerSecond: 9 })]);
    await waitFor("new rate", async () => {
      const echo = (await stack.get("/good")).echo();
      return JSON.parse(echo.header("x-params") ?? "").requestsPerSecond === 9;
    });
  });
});

test("US5.5: a custom policy's parameters are checked against its schema and handed to it", async () => {
  await stack.engine.writeRoutes([
    { route: "good", policies: [{ name: "tag", parameters: { label: "from-parameters" } }] },
    { route: "bad", policies: [{ name: "tag", parameters: { label: 7 } }] },
  ]);
  await waitFor(
    "custom policy on the route",
    async () => (await stack.get("/good")).echo().header("x-trace") === "from-parameters",
  );
  expect(await problem("/routes/1/policies/0/parameters/label")).toContain("string");
});

test("edge: secrets stand neither in the log nor in the dump", async () => {
  await stack.engine.writeRoutes([route("good", { ...valid, key: SECRET, requestsPerSecond: 3 })]);
  await waitFor("secret on the route", async () => {
    return (await stack.get("/good")).echo().header("x-key-length") === String(SECRET.length);
  });
  const dump = await (await stack.engine.getAdmin("/config")).text();
  expect(dump).toContain("[redacted]");
  expect(dump).not.toContain(SECRET);
  expect(stack.engine.output()).not.toContain(SECRET);
});

/** The log line about the value at a JSON pointer. */
async function problem(pointer: string): Promise<string> {
  return JSON.stringify(await stack.engine.waitForLog(pointer));
}
