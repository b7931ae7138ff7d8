/**
 * Reading the header block that Envoy opens a stream with: the same bytes as for the stream before, or with a header of
 * each request's own behind them, as with tracing. Nanoseconds a block.
 */
import { PROCESS_METHOD } from "../../runtime/kernel/processor.ts";
import { encodeHeaders } from "../../runtime/transport/http2/hpack/encode.ts";
import { RequestDecoder } from "../../runtime/transport/http2/request-decoder.ts";
import { summarise } from "../measure/statistics.ts";

const LINES = [
  [":path", PROCESS_METHOD],
  [":authority", "policy_engine"],
  ["te", "trailers"],
  ["content-type", "application/grpc"],
  ["x-route-name", "orders"],
  ["x-envoy-internal", "true"],
  ["x-forwarded-for", "10.0.0.1"],
] as const;
const ROUNDS = 7;
const BLOCKS = 200_000;
/** POST and http, which have indexes of their own. */
const FIXED = [0x83, 0x86];
const FIRST_DYNAMIC_INDEX = 62;
const ADDED = 0x40;
const INDEXED = 0x80;

const decoder = new RequestDecoder(new Map());
/** The first block puts each line into the table; later ones refer to them. */
const first = Buffer.concat([
  Buffer.from(FIXED),
  ...LINES.map(([name, value]) =>
    Buffer.concat([
      Buffer.from([ADDED, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  ),
]);
decoder.head(first, 0, first.length);
const same = Buffer.from([
  ...FIXED,
  ...LINES.map((_, place) => INDEXED | (FIRST_DYNAMIC_INDEX + LINES.length - 1 - place)),
]);
const own = Array.from({ length: 1_000 }, (_, number) => {
  const trace = `00-${number.toString(16).padStart(32, "0")}-00f067aa0ba902b7-01`;
  return Buffer.concat([same, encodeHeaders([["traceparent", trace]])]);
});

console.log("| header block | ns |\n| --- | --- |");
for (const [name, blocks] of [
  ["the same as before", [same]],
  ["with a header of its own", own],
] as const) {
  const figures = Array.from({ length: ROUNDS }, () => measure(blocks));
  const { median, min, max } = summarise(figures);
  console.log(`| ${name} | ${median.toFixed(0)} (${min.toFixed(0)} to ${max.toFixed(0)}) |`);
}

function measure(blocks: readonly Buffer[]): number {
  const startedAt = performance.now();
  for (let index = 0; index < BLOCKS; index++) {
    const block = blocks[index % blocks.length]!;
    decoder.head(block, 0, block.length);
  }
  return ((performance.now() - startedAt) / BLOCKS) * 1e6;
}
