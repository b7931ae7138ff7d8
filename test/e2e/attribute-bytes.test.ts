// Attributes repeat what a client wrote: Envoy passes its bytes on, also those that are no text.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { type Stack, startStack } from "../helpers/stack.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    routes: [
      {
        route: "conditional",
        policies: [
          {
            name: "deny",
            executionCondition: 'client.address == "127.0.0.1"',
            parameters: { phase: "request", status: 403, body: "", reason: "denied", headers: {} },
          },
        ],
      },
      {
        route: "listed",
        policies: [{ name: "ip-allow-list", failureMode: "open", parameters: { deny: ["127.0.0.1"] } }],
      },
    ],
    envoy({ extProc }) {
      extProc.request_attributes = ["xds.route_name", "source.address", "request.useragent"];
    },
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

test.each(["curl/8", "caf\xe9 \xff"])("a client does not get past a policy as %j", async (agent) => {
  const headers = [["user-agent", agent]] as const;
  const statuses = [
    (await stack.get("/conditional", headers)).status,
    (await stack.get("/listed", headers)).status,
  ];
  expect(statuses).toEqual([403, 403]);
});
