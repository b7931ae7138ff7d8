import { afterEach, describe, expect, test } from "bun:test";
import { waitFor } from "../../test/helpers/wait.ts";
import type { IncomingStream, OutgoingStream } from "../transport/transport.ts";
import { createGrpcHealth } from "./grpc-health.ts";

const SERVICE = "a.Service";
let serving = true;
const health = () => createGrpcHealth({ services: [SERVICE], isServing: () => serving });
const open: { incoming: IncomingStream }[] = [];
afterEach(() => {
  for (const { incoming } of open.splice(0)) incoming.cancel();
  serving = true;
});

/** A call, and what was said on it. */
function call(method: "Check" | "Watch", on = health()) {
  const said: (string | number)[] = [];
  const out: OutgoingStream = {
    send: (message) => {
      said.push(...(message[0] === 0x08 && message.length === 2 ? [message[1]!] : ["?"]));
      return false;
    },
    end: () => void said.push("end"),
    fail: (_message, status = 13) => void said.push(`failed ${status}`),
  };
  const incoming = on.services[`/grpc.health.v1.Health/${method}`]!({ get: () => undefined }, out);
  open.push({ incoming });
  return { incoming, said };
}

function request(service: string): Uint8Array {
  return Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
}

describe("Check", () => {
  test.each<[string, Uint8Array, boolean, (string | number)[]]>([
    ["the whole server", new Uint8Array(0), true, [1, "end"]],
    ["a service", request(SERVICE), true, [1, "end"]],
    ["a service while nothing is served", request(SERVICE), false, [2, "end"]],
    ["one that is unknown", request("b.Service"), true, ["failed 5"]],
    [
      "one behind fields that are unknown",
      Buffer.concat([
        Buffer.from("1005220161290000000000000000350000000000", "hex").subarray(0, 19),
        request(SERVICE),
      ]),
      true,
      [1, "end"],
    ],
    ["text that ends too early", Buffer.from([0x0a, 9, 0x61]), true, ["failed 3"]],
    ["a tag that ends too early", Buffer.from([0x8a]), true, ["failed 3"]],
    ["a field without a number", Buffer.from([0x02, 0]), true, ["failed 3"]],
    ["a group", Buffer.from([0x0b]), true, ["failed 3"]],
    ["more than a name", new Uint8Array(5_000), true, ["failed 3"]],
  ])("%s", (_, bytes, isServing, said) => {
    serving = isServing;
    const check = call("Check");
    check.incoming.message(bytes);
    check.incoming.message(bytes);
    check.incoming.halfClose();
    expect(check.said).toEqual(said);
  });

  test("no request at all", () => {
    const check = call("Check");
    check.incoming.halfClose();
    expect(check.said).toEqual(["failed 3"]);
  });
});

describe("Watch", () => {
  test("tells at once, and each change once, and goes on when the client has said all", async () => {
    const watch = call("Watch");
    watch.incoming.message(request(SERVICE));
    watch.incoming.halfClose();
    expect(watch.said).toEqual([1]);
    serving = false;
    await waitFor("change", () => watch.said.length === 2);
    serving = true;
    await waitFor("change", () => watch.said.length === 3);
    expect(watch.said).toEqual([1, 2, 1]);
  });

  test("a service that is unknown may become known: the stream stays", () => {
    const watch = call("Watch");
    watch.incoming.message(request("b.Service"));
    expect(watch.said).toEqual([3]);
  });

  test("limit: one more than 1,000 is refused, until another ends", () => {
    const service = health();
    const watches = Array.from({ length: 1_000 }, () => call("Watch", service));
    for (const { incoming } of watches) incoming.message(request(""));
    const more = () => {
      const watch = call("Watch", service);
      watch.incoming.message(request(""));
      return watch.said;
    };
    expect(more()).toEqual(["failed 8"]);
    watches[0]?.incoming.cancel();
    expect(more()).toEqual([1]);
    expect(more()).toEqual(["failed 8"]);
  });

  test("the stop tells those who watch, and ends", () => {
    const service = health();
    const watches = [call("Watch", service), call("Watch", service), call("Watch", service)];
    for (const { incoming } of watches) incoming.message(request(""));
    watches[0]?.incoming.cancel();
    service.stop();
    expect(watches.map(({ said }) => said)).toEqual([[1], [1, 2, "end"], [1, 2, "end"]]);
  });
});
