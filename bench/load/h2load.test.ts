import { describe, expect, test } from "bun:test";
import { parseLog, parseSummary } from "./h2load.ts";

const SUMMARY = `
finished in 5.14s, 4960.04 req/s, 1.97MB/s
requests: 25500 total, 25500 started, 25500 done, 25500 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 25500 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 10.12MB (10608000) total, 7.93MB (8313000) headers (space savings 0.00%), 672.36KB (688500) data
`;

describe("parseSummary", () => {
  test("reads how many requests there were, and how many a second", () => {
    expect(parseSummary(SUMMARY)).toEqual({ requests: 25_500, perSecond: 4960.04 });
  });

  test.each([
    ["a failed request", "0 failed", "1 failed"],
    ["a broken connection", "0 errored", "3 errored"],
    ["another status", "25500 2xx", "25499 2xx"],
    ["no request at all", "25500 succeeded", "0 succeeded"],
  ])("%s makes the run useless", (_what, from, to) => {
    expect(() => parseSummary(SUMMARY.replace(from, to))).toThrow("not every request");
  });

  test("text that it does not know is an error, not a zero", () => {
    expect(() => parseSummary(SUMMARY.replace("finished in", "done in"))).toThrow("not as expected");
  });
});

test("parseLog takes the third column, in order of size", () => {
  const log = "1795344942891319\t200\t316\n1795344942892038\t200\t90\n1795344942893000\t200\t100000\n";
  expect([...parseLog(log)]).toEqual([90, 316, 100_000]);
});
