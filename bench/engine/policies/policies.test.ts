import { expect, test } from "bun:test";
import { testPolicy } from "@policy-engine/testing";
import * as copyHeader from "./copy-header/v1.0.0/policy.ts";
import * as echoBody from "./echo-body/v1.0.0/policy.ts";

const at = (folder: string) => new URL(`./${folder}/policy.ts`, import.meta.url).href;

test("copy-header sets a header from another one, both ways", async () => {
  const params = { request: { from: "x-a", to: "x-b" }, response: { from: "x-c", to: "x-d" } };
  await using policy = await testPolicy(copyHeader, { definition: at("copy-header/v1.0.0"), params });
  const exchange = await policy.request({ headers: { "x-a": "1" } });
  expect(exchange.changes).toEqual({ "x-b": ["1"] });
  const response = await exchange.response({ headers: { "x-c": "2" } });
  expect(response.changes).toEqual({ "x-d": ["2"] });
});

test("echo-body sends the same bytes on", async () => {
  await using policy = await testPolicy(echoBody, { definition: at("echo-body/v1.0.0"), params: {} });
  const exchange = await policy.request({ method: "POST", body: "some bytes" });
  expect(exchange.changes).toMatchObject({ "x-bench-request": ["10"] });
  expect(exchange.body).toEqual(new TextEncoder().encode("some bytes"));
});
