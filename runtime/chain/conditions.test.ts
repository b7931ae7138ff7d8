// What a condition decides: whether a step runs, and whether a body is asked for.
import { describe, expect, test } from "bun:test";
import type { RequestContext, ResponseContext } from "@policy-engine/sdk";
import { respond } from "@policy-engine/sdk";
import { type DrivenStream, GET, KernelDriver, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import type { StepCondition } from "./chain.ts";

const BUFFERED = 2;
const NOTHING = { requestBody: false, response: false, responseBody: false };
const BODY: { extra: object } = {
  extra: { protocolConfig: { requestBodyMode: BUFFERED, responseBodyMode: BUFFERED } },
};

function when(
  evaluate: (context: RequestContext & ResponseContext) => boolean,
  reads: Partial<StepCondition["reads"]> = {},
): StepCondition {
  const decide = evaluate as (context: RequestContext | ResponseContext) => boolean;
  return { source: "test", reads: { ...NOTHING, ...reads }, evaluate: decide };
}

function noting(ran: string[], name: string, step: Partial<TestStep> = {}): TestStep {
  return {
    policy: { onRequest: () => void ran.push(`q${name}`), onResponse: () => void ran.push(`s${name}`) },
    ...step,
  };
}

function exchange(steps: readonly TestStep[]): DrivenStream {
  const stream = new KernelDriver(testChain(steps)).open();
  stream.send("request_headers", { headers: [[":method", "POST"], ...GET.slice(1)], ...BODY });
  return stream;
}

describe("in the request", () => {
  test("US4.1: a step whose condition is false is left out, in both phases", () => {
    const ran: string[] = [];
    const never = when(() => false);
    exchange([noting(ran, "a", { condition: never }), noting(ran, "b")]).send("response_headers");
    expect(ran).toEqual(["qb", "sb"]);
  });

  test("a condition is evaluated once and pinned, also against changes after it", () => {
    const ran: string[] = [];
    let evaluations = 0;
    const condition = when((ctx) => {
      evaluations++;
      return !ctx.headers.has("x-late");
    });
    const changes: TestStep = { policy: { onRequest: () => ({ setHeaders: { "x-late": "1" } }) } };
    exchange([noting(ran, "a", { condition }), changes]).send("response_headers");
    expect([ran, evaluations]).toEqual([["qa", "sa"], 1]);
  });

  test("US4.4: it sees what policies before it left", () => {
    const ran: string[] = [];
    const marks: TestStep = { policy: { onRequest: (ctx) => void ctx.metadata.set("flag", true) } };
    const flagged = when((ctx) => ctx.metadata.get("flag") === true);
    exchange([noting(ran, "a", { condition: flagged }), marks, noting(ran, "b", { condition: flagged })]);
    expect(ran).toEqual(["qb"]);
  });

  test("US6: a body step whose condition is false buffers nothing", () => {
    const step: TestStep = { requestBody: "buffered", policy: { onRequest: () => respond(400) } };
    const off = exchange([{ ...step, condition: when(() => false) }]);
    expect([off.last?.modeOverride?.requestBodyMode, off.ended]).toEqual([0, true]);
    const on = exchange([{ ...step, condition: when(() => true) }]);
    expect(on.last?.modeOverride?.requestBodyMode).toBe(BUFFERED);
  });

  test("a condition on the body makes its step a body step, and the policy still sees none", () => {
    const seen: unknown[] = [];
    const condition = when((ctx) => ctx.text() === "yes", { requestBody: true });
    const step: TestStep = { condition, policy: { onRequest: (ctx) => void seen.push(ctx.text()) } };
    const yes = exchange([step]);
    expect(yes.last?.modeOverride?.requestBodyMode).toBe(BUFFERED);
    yes.send("request_body", { body: "yes", endOfStream: true });
    exchange([step]).send("request_body", { body: "no", endOfStream: true });
    expect(seen).toEqual([null]);
  });

  test("a condition on the request's body decides for a policy of the response phase", () => {
    const ran: string[] = [];
    const condition = when((ctx) => ctx.text() === "yes", { requestBody: true });
    const step: TestStep = { condition, policy: { onResponse: () => void ran.push("s") } };
    exchange([step]).send("request_body", { body: "yes", endOfStream: true }).send("response_headers");
    exchange([step]).send("request_body", { body: "no", endOfStream: true }).send("response_headers");
    expect(ran).toEqual(["s"]);
  });
});

describe("in the response", () => {
  test("a condition that reads the response leaves its policy that phase only, and decides about its body", () => {
    const ran: string[] = [];
    const failed = when((ctx) => ctx.status >= 500, { response: true });
    const step = noting(ran, "a", { condition: failed, responseBody: "buffered" });
    const good = exchange([step]).send("response_headers");
    expect([ran, good.last?.modeOverride?.responseBodyMode, good.ended]).toEqual([[], 0, true]);
    const bad = exchange([step]).send("response_headers", { headers: [[":status", "503"]] });
    expect(bad.last?.modeOverride?.responseBodyMode).toBe(BUFFERED);
    bad.send("response_body", { body: "x", endOfStream: true });
    expect(ran).toEqual(["sa"]);
  });

  test("a policy that applies to denials dresses one only if its condition is, or was pinned, true", () => {
    const ran: string[] = [];
    const dress = (name: string, condition: StepCondition): TestStep => ({
      appliesToDenials: true,
      condition,
      policy: { onResponse: () => void ran.push(name) },
    });
    exchange([
      dress(
        "yes",
        when(() => true),
      ),
      dress(
        "no",
        when(() => false),
      ),
      dress(
        "denial",
        when((ctx) => ctx.status === 403, { response: true }),
      ),
      { policy: { onRequest: () => respond(403) } },
    ]);
    expect(ran).toEqual(["yes", "denial"]);
  });
});

test("edge: on a denial, a condition on a request body that never came leaves its policy out, and is no failure", () => {
  const ran: string[] = [];
  const asked = when(() => ran.push("condition") > 0, { requestBody: true });
  const dress: TestStep = {
    appliesToDenials: true,
    condition: asked,
    policy: { onResponse: () => void ran.push("hook") },
  };
  const stream = exchange([{ policy: { onRequest: () => respond(403) } }, dress]);
  expect([stream.denial?.status, ran]).toEqual([403, []]);
});

describe("conditionError", () => {
  const broken = when(() => {
    throw new Error("no such key");
  });

  test("edge: CEL evaluation errors skip the policy, in both phases", () => {
    const ran: string[] = [];
    exchange([noting(ran, "a", { condition: broken }), noting(ran, "b")]).send("response_headers");
    expect(ran).toEqual(["qb", "sb"]);
  });

  test("deny refuses the exchange with 500 and tells nothing", () => {
    const ran: string[] = [];
    const stream = exchange([noting(ran, "a", { condition: broken, conditionError: "deny" })]);
    expect([ran, stream.denial?.status, stream.denial?.details]).toEqual([
      [],
      500,
      "policy_engine:condition_failed:step-0:v1.0.0",
    ]);
    expect(stream.denial?.body).toMatch(/^condition_failed [0-9a-f]{16}$/);
  });

  test.each([
    ["closed", "skip", "policy_failed", []],
    ["open", "skip", undefined, ["qb"]],
    ["closed", "deny", "condition_failed", []],
    ["open", "deny", "condition_failed", []],
  ] as const)(
    "edge: a body that it cannot read, failureMode %s, conditionError %s: %s",
    (failureMode, conditionError, reason, expected) => {
      const ran: string[] = [];
      const condition = when((ctx) => ctx.text() === "x", { requestBody: true });
      const steps = [noting(ran, "a", { condition, failureMode, conditionError }), noting(ran, "b")];
      const stream = new KernelDriver(testChain(steps)).open();
      const headers = [[":method", "POST"], ...GET.slice(1), ["content-encoding", "gzip"]] as const;
      stream.send("request_headers", { headers, ...BODY });
      stream.send("request_body", { body: "not gzip", endOfStream: true });
      const details = reason && `policy_engine:${reason}:step-0:v1.0.0`;
      expect([ran, stream.denial?.status, stream.denial?.details]).toEqual([
        [...expected],
        reason && 500,
        details,
      ]);
    },
  );
});
