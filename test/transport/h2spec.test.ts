// The server against h2spec in strict mode, and the report's reader against one that is bad.
import { expect, test } from "bun:test";
import { readReport, runH2spec } from "../../scripts/h2spec.ts";
import { startInteropServer } from "./interop-server.ts";

/** All that h2spec 2.2.1 has in strict mode. */
const CASES = 146;
const LONG_MS = 600_000;

test(
  "issue 6: every case of h2spec in strict mode passes",
  async () => {
    const server = await startInteropServer();
    try {
      const [host = "", port] = server.address.split(":");
      expect(await runH2spec(host, Number(port))).toEqual({ cases: CASES, failures: [] });
    } finally {
      await server.transport.stop(0);
    }
  },
  LONG_MS,
);

test("a case that fails, or is left out, is told", () => {
  const xml = `<testsuites><testsuite><testcase package="http2/4.2" classname="a" time="0.1"></testcase>
    <testcase package="http2/5.1" classname="b" time="0.1"><failure>was
    this</failure></testcase>
    <testcase package="http2/6.9" classname="c" time="0.1"><skipped></skipped></testcase></testsuite></testsuites>`;
  expect(readReport(xml)).toEqual({ cases: 3, failures: ["http2/5.1 b: was\n    this", "http2/6.9 c: "] });
});
