// Messages that no honest peer writes, against protobuf-es: what that refuses is refused, and what both take means
// the same.
import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { respond } from "@policy-engine/sdk";
import { envoyMessage, GET, KernelDriver, type TestStep, testChain } from "../../test/helpers/kernel.ts";
import { ProcessingRequestSchema } from "../gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import { EnvoyMessage } from "./codec.ts";

const times = (count: number, ...bytes: number[]) => Array.from({ length: count }, () => bytes).flat();

describe("numbers", () => {
  test.each([
    ["of six bytes", [0xa2, 0x80, 0x80, 0x80, 0x80, 0x00, 0x00]],
    ["of 36 bits", [0xa2, 0x80, 0x80, 0x80, 0x10, 0x00]],
  ])("a field's number %s is refused", (_what, bytes) => {
    const wire = Uint8Array.from(bytes);
    expect(() => fromBinary(ProcessingRequestSchema, wire)).toThrow();
    expect(() => new EnvoyMessage(wire)).toThrow("too large");
  });

  test("a field's number of five bytes that need not be is taken", () => {
    const wire = Uint8Array.of(0xa2, 0x80, 0x80, 0x80, 0x00, 0x00);
    expect(fromBinary(ProcessingRequestSchema, wire).request.case).toBe("requestBody");
    expect(new EnvoyMessage(wire).kind).toBe("request_body");
  });

  test.each([
    ["bit 63", 0x01, true],
    ["bit 64, which is none of its 64", 0x02, false],
  ])("a flag of which only %s is set", (_what, last, isSet) => {
    const wire = Uint8Array.of(0x50, ...times(9, 0x80), last);
    expect(fromBinary(ProcessingRequestSchema, wire).observabilityMode).toBe(isSet);
    expect(new EnvoyMessage(wire).observed).toBe(isSet);
  });
});

describe("bytes of a client in attributes", () => {
  const AGENT = "some agent.";
  const ODD = Buffer.from("caf\xe9 \x80\xff bar", "latin1");

  /** Request headers with attributes as Envoy writes them: bytes of a header as they came, though a string is UTF-8. */
  function withOddAgent(others: Record<string, string>): Uint8Array {
    const attributes = { "request.useragent": AGENT, ...others };
    const extra = { attributes: { "envoy.filters.http.ext_proc": attributes } };
    const bytes = Buffer.from(envoyMessage("request_headers", { headers: GET, endOfStream: true, extra }));
    expect(ODD.length).toBe(AGENT.length);
    ODD.copy(bytes, bytes.indexOf(AGENT));
    return bytes;
  }

  const denied = { policy: { onRequest: () => respond(403) } };
  const guards: [string, TestStep][] = [
    [
      "a condition",
      {
        ...denied,
        condition: {
          source: "",
          reads: { requestBody: false, response: false, responseBody: false },
          evaluate: (context) => "client" in context && context.client.address === "192.0.2.7",
        },
      },
    ],
    [
      "a policy that fails open",
      {
        policy: { onRequest: ({ client }) => (client.address === "192.0.2.7" ? respond(403) : undefined) },
        failureMode: "open",
      },
    ],
    [
      "a policy that looks at them",
      {
        policy: {
          onRequest: ({ attributes }) =>
            attributes["request.useragent"] === "caf\ufffd \ufffd\ufffd bar" ? respond(403) : undefined,
        },
        failureMode: "open",
      },
    ],
  ];
  test.each(guards)("do not get past %s", (_what, step) => {
    const stream = new KernelDriver(testChain([step])).open();
    stream.incoming.message(withOddAgent({ "source.address": "192.0.2.7:4711" }));
    expect(stream.denial?.status).toBe(403);
  });

  test("do not hide the route's name beside them", () => {
    const stream = new KernelDriver({ orders: testChain([denied], { route: "orders" }) }).open(null);
    stream.incoming.message(withOddAgent({ "xds.route_name": "orders" }));
    expect(stream.denial?.status).toBe(403);
  });
});
