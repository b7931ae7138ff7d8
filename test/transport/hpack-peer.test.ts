// Header blocks as an independent client makes them, with Huffman codes and its own use of the dynamic table.
import { expect, test } from "bun:test";
import { connect } from "node:http2";
import fc from "fast-check";
import { waitFor } from "../helpers/wait.ts";
import { INTEROP, startInteropServer } from "./interop-server.ts";

const NAMES = ["x-a", "x-b", "x-long-name-of-a-header", "cookie", "user-agent", "x-tell"];

test("issue 6: node:http2's header blocks are read as they were meant, thousands on one connection", async () => {
  const heard: (string | undefined)[][] = [];
  const server = await startInteropServer({
    services: {
      [INTEROP]: (metadata, out) => {
        heard.push(NAMES.map((name) => metadata.get(name)));
        return { message() {}, halfClose: () => out.end(), cancel() {} };
      },
    },
  });
  const session = connect(`http://${server.address}`);
  const visible = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    maxLength: 60,
  });
  // Some come again and again, so that the table is used, and some are as large as it.
  const value = fc.oneof(
    visible,
    fc.constantFrom("always", "the same", "value"),
    fc.constant("v".repeat(5_000)),
  );
  const headers = fc.record(Object.fromEntries(NAMES.map((name) => [name, value])), { requiredKeys: [] });
  try {
    const sets = fc.sample(headers, 2_000) as Record<string, string>[];
    for (let at = 0; at < sets.length; at += 100) {
      for (const set of sets.slice(at, at + 100)) {
        const request = { ":method": "POST", ":path": INTEROP, "content-type": "application/grpc", ...set };
        session
          .request(request)
          .on("error", () => {})
          .end();
      }
      await waitFor("streams", () => heard.length >= Math.min(at + 100, sets.length));
    }
    expect(heard).toEqual(sets.map((set) => NAMES.map((name) => set[name])));
  } finally {
    session.destroy();
    await server.transport.stop(0);
  }
}, 120_000);
