import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      { route: "response", policies: [{ name: "tag-response", parameters: { label: "a" } }] },
      {
        route: "both",
        policies: [
          { name: "tag", parameters: { label: "1" } },
          { name: "tag-response", parameters: { label: "a" } },
          { name: "on-denials" },
        ],
      },
    ],
    envoy({ extProc }) {
      extProc.processing_mode.request_header_mode = "SKIP";
      extProc.processing_mode.request_body_mode = "NONE";
      extProc.processing_mode.request_trailer_mode = "SKIP";
    },
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test("edge: a chain without request steps works where Envoy's first message is the response's", async () => {
  const response = await stack.get("/response");
  expect([response.status, response.headerValues("x-trace")]).toEqual([200, ["a"]]);
});

test("edge: a chain whose request steps were passed over is answered 500 and counted", async () => {
  const response = await stack.get("/both");
  expect([response.status, response.text().split(" ")[0]]).toEqual([500, "out_of_order"]);
  expect(response.headerValues("x-trace")).toEqual([]);
  expect(await stack.engine.metric("policy_kernel_protocol_errors_total")).toBeGreaterThan(0);
});

test("edge: a route that nobody configured passes", async () => {
  expect((await stack.get("/else")).status).toBe(200);
});
