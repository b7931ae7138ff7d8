import { describe, expect, test } from "bun:test";
import { type RespondOptions, respond } from "@policy-engine/sdk";
import { type Denial, denialBody, denialOf, engineDenial, newErrorId } from "./denial.ts";

const PROBLEMS = { format: "problem", metadataNamespace: undefined } as const;
const DECIDER = { name: "gate", version: "v1.2.3" };

function denied(status: number, options?: RespondOptions): Denial {
  return denialOf(respond(status, options), DECIDER);
}

function headersOf({ response }: Denial): [string, string][] {
  return [...response.headers.entries()];
}

describe("a policy's denial", () => {
  test("US2.1: status, headers, body and gRPC status are the policy's", () => {
    const denial = denied(401, {
      body: "tökens",
      headers: { "WWW-Authenticate": ["Bearer", "Basic"], "content-type": "text/html" },
      reason: "no_token",
      grpcStatus: 16,
    });
    expect(denial).toMatchObject({
      outcome: "denied",
      reason: "no_token",
      grpcStatus: 16,
      details: "policy_engine:no_token:gate:v1.2.3",
    });
    expect(denial.response.status).toBe(401);
    expect(headersOf(denial)).toEqual([
      ["www-authenticate", "Bearer"],
      ["www-authenticate", "Basic"],
      ["content-type", "text/html"],
    ]);
    expect(Buffer.from(denial.response.body.content).toString()).toBe("tökens");
  });

  test("without options: no body, no content-type, the reason is `denied`", () => {
    const denial = denied(403);
    expect(denial).toMatchObject({ reason: "denied", details: "policy_engine:denied:gate:v1.2.3" });
    expect([headersOf(denial), denial.response.body.content.length, denial.grpcStatus]).toEqual([
      [],
      0,
      undefined,
    ]);
  });

  test.each<[RespondOptions, string | undefined]>([
    [{ body: "x" }, "text/plain"],
    [{ body: new Uint8Array(1) }, "text/plain"],
    [{ body: "" }, undefined],
    [{ body: new Uint8Array(0) }, undefined],
    [{ body: "{}", headers: { "Content-Type": "application/json" } }, "application/json"],
    [{ body: "x", headers: { "content-type": [] } }, "text/plain"],
    [{ headers: { "content-type": "application/grpc" } }, "application/grpc"],
  ])("the content-type of %j is %j", (options, expected) => {
    expect(denied(403, options).response.headers.get("content-type")).toBe(expected);
  });

  test.each([
    ["a header that the engine manages", { headers: { "content-length": "1" } }],
    ["a pseudo-header", { headers: { ":status": "200" } }],
    ["no header name", { headers: { "x y": "1" } }],
    ["a line break in a value", { headers: { "x-a": "1\r\nset-cookie: a=b" } }],
    ["a value that is no text", { headers: { "x-a": 1 } }],
    ["null for headers", { headers: null }],
    ["Headers, which have no properties", { headers: new Headers({ "x-a": "1" }) }],
    ["a number for the body", { body: 1 }],
    ["null for the body", { body: null }],
    ["a list of bytes for the body", { body: [1] }],
    ["an ArrayBuffer for the body", { body: new ArrayBuffer(1) }],
  ])("%s is refused", (_, options) => {
    expect(() => denied(403, options as RespondOptions)).toThrow(TypeError);
  });

  test.each([
    ["Uint8Array", Uint8Array.of(0x61)],
    ["Buffer", Buffer.from("a")],
  ])("edge: what the policy writes into its %s afterwards is not sent", (_, body) => {
    const denial = denied(403, { body });
    body.fill(0x7a);
    expect(Buffer.from(denial.response.body.content).toString()).toBe("a");
  });
});

describe("the engine's own denial", () => {
  test("names the reason and the error id, and nothing else", () => {
    const denial = engineDenial(503, "route_unavailable", { errorId: "0123" });
    expect(denial).toMatchObject({
      outcome: "failed",
      reason: "route_unavailable",
      grpcStatus: undefined,
      details: "policy_engine:route_unavailable",
    });
    expect(Buffer.from(denial.response.body.content).toString()).toBe("route_unavailable 0123");
    expect(headersOf(denial)).toEqual([["content-type", "text/plain"]]);
  });

  test("names the policy that failed in the details only", () => {
    const denial = engineDenial(500, "policy_failed", { errorId: "0123", decider: DECIDER });
    expect(denial.details).toBe("policy_engine:policy_failed:gate:v1.2.3");
    expect(Buffer.from(denial.response.body.content).toString()).toBe("policy_failed 0123");
  });

  test("RFC 9457: as a problem document it has the same facts and the status, and nothing else", () => {
    const denial = engineDenial(503, "route_unavailable", { errorId: "0123", style: PROBLEMS });
    expect(headersOf(denial)).toEqual([["content-type", "application/problem+json"]]);
    expect(JSON.parse(Buffer.from(denialBody(denial, "GET")).toString())).toEqual({
      type: "about:blank",
      title: "Service Unavailable",
      status: 503,
      reason: "route_unavailable",
      error_id: "0123",
    });
    expect(denialBody(denial, "HEAD")).toHaveLength(0);
  });

  test("RFC 9457: a problem document tells the status that is sent, also where a policy changed it", () => {
    const denial = engineDenial(500, "policy_failed", { errorId: "0123", style: PROBLEMS });
    denial.response.status = 599;
    expect(JSON.parse(Buffer.from(denialBody(denial, "GET")).toString())).toEqual({
      type: "about:blank",
      status: 599,
      reason: "policy_failed",
      error_id: "0123",
    });
    denial.response.setBody(Buffer.from("mine"), "none");
    expect(Buffer.from(denialBody(denial, "GET")).toString()).toBe("mine");
  });

  test("leaves alone what a policy answers", () => {
    const denial = denialOf(respond(403, { body: "no" }), DECIDER, PROBLEMS);
    expect(headersOf(denial)).toEqual([["content-type", "text/plain"]]);
    denial.response.status = 404;
    expect(Buffer.from(denialBody(denial, "GET")).toString()).toBe("no");
  });

  test("error ids differ, and are safe to put anywhere", () => {
    const ids = Array.from({ length: 1000 }, newErrorId);
    expect(new Set(ids).size).toBe(1000);
    expect(ids.every((id) => /^[0-9a-f]{16}$/.test(id))).toBe(true);
  });
});

describe("what Envoy keeps of a denial", () => {
  const style = { format: "text", metadataNamespace: "decisions" } as const;

  test("is nothing unless asked for", () => {
    expect(denied(403).metadata).toBeUndefined();
    expect(engineDenial(500, "policy_failed", { errorId: "0123" }).metadata).toBeUndefined();
  });

  test("names outcome, reason, policy and version, and the error id where there is one", () => {
    expect(denialOf(respond(403, { reason: "no_token" }), DECIDER, style).metadata).toEqual({
      decisions: { outcome: "denied", reason: "no_token", policy: "gate", version: "v1.2.3" },
    });
    const failed = engineDenial(500, "policy_failed", { errorId: "0123", decider: DECIDER, style });
    expect(failed.metadata).toEqual({
      decisions: {
        outcome: "failed",
        reason: "policy_failed",
        policy: "gate",
        version: "v1.2.3",
        error_id: "0123",
      },
    });
    expect(engineDenial(503, "not_ready", { errorId: "0123", style }).metadata).toEqual({
      decisions: { outcome: "failed", reason: "not_ready", error_id: "0123" },
    });
  });
});

describe("the body that is sent", () => {
  test.each([
    [403, "GET", "body"],
    [403, "POST", "body"],
    [200, "OPTIONS", "body"],
    [403, "", "body"],
    [403, "head", "body"],
    [403, "HEAD", ""],
    [204, "GET", ""],
    [304, "GET", ""],
    [204, "HEAD", ""],
  ])("%d to %s: %j", (status, method, expected) => {
    expect(Buffer.from(denialBody(denied(status, { body: "body" }), method)).toString()).toBe(expected);
  });

  test("is decided by the status that policies left", () => {
    const denial = denied(403, { body: "body" });
    denial.response.status = 204;
    expect(denialBody(denial, "GET")).toHaveLength(0);
  });
});
