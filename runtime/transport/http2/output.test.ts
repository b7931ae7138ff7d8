import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ByteSink, Output } from "./output.ts";

/** A sink that takes as much as it is told to. */
class Sink implements ByteSink {
  room = Number.POSITIVE_INFINITY;
  isClosed = false;
  readonly #taken: Buffer[] = [];

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.isClosed) return -1;
    const taken = Math.min(length, this.room);
    this.#taken.push(Buffer.from(bytes.subarray(offset, offset + taken)));
    return taken;
  }

  get text(): string {
    return Buffer.concat(this.#taken).toString("latin1");
  }
}

function write(output: Output, text: string): void {
  const at = output.reserve(text.length);
  output.bytes.write(text, at, "latin1");
}

describe("Output", () => {
  test("hands everything over in order, whatever the sink takes at a time", () => {
    const step = fc.record({
      text: fc.string({ maxLength: 9_000, unit: "grapheme-ascii" }),
      room: fc.nat(9_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const [output, sink] = [new Output(), new Sink()];
        let said = "";
        for (const { text, room } of steps) {
          write(output, text);
          said += text;
          sink.room = room;
          output.flush(sink);
          expect([said.startsWith(sink.text), output.pending]).toEqual([
            true,
            said.length - sink.text.length,
          ]);
        }
        sink.room = Number.POSITIVE_INFINITY;
        expect([output.flush(sink), sink.text === said, output.taken]).toEqual([true, true, said.length]);
      }),
    );
  });

  test("does not grow by what has gone, and gives back what was large", () => {
    const [output, sink] = [new Output(), new Sink()];
    sink.room = 1_000;
    for (let round = 0; round < 1_000; round++) {
      write(output, "x".repeat(1_000));
      if (round > 10) output.flush(sink);
    }
    expect(output.pending).toBe(11_000);
    expect(output.bytes.length).toBeLessThan(64_000);
    write(output, "x".repeat(1_000_000));
    sink.room = Number.POSITIVE_INFINITY;
    output.flush(sink);
    expect(output.bytes.length).toBeLessThan(10_000);
  });

  test("tells that the sink is closed, and forgets what waits when told to", () => {
    const [output, sink] = [new Output(), new Sink()];
    expect(output.flush(sink)).toBe(true);
    write(output, "a");
    sink.isClosed = true;
    expect([output.flush(sink), output.pending]).toEqual([false, 1]);
    output.clear();
    expect([output.flush(sink), output.pending]).toEqual([true, 0]);
  });
});
