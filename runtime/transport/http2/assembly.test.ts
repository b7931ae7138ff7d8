import { expect, test } from "bun:test";
import { AssemblyMemory, MessageAssembly, PREFIX_BYTES } from "./assembly.ts";

const WINDOW = 262_144;

/** A message whose prefix has come, on a stream with the usual window. */
class Started {
  receiveWindow = WINDOW - PREFIX_BYTES;
  readonly allowed: number[] = [];
  readonly assembly: MessageAssembly;
  readonly isBegun: boolean;

  constructor(memory: AssemblyMemory, length: number) {
    this.assembly = new MessageAssembly(memory, this);
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(length, 1);
    this.assembly.take(prefix, 0, PREFIX_BYTES);
    this.isBegun = this.assembly.begin(0);
  }

  allow(bytes: number): void {
    this.allowed.push(bytes);
    this.receiveWindow = bytes + WINDOW;
  }
}

test("a message larger than all of the memory comes alone", () => {
  const memory = new AssemblyMemory(300_000);
  const [first, second] = [new Started(memory, 1_000_000), new Started(memory, 900_000)];
  expect([first.allowed, second.allowed]).toEqual([[1_000_000], []]);
  first.assembly.release();
  expect([second.allowed, memory.used]).toEqual([[900_000], 900_000]);
  second.assembly.release();
  expect(memory.used).toBe(0);
});

test("who waits longest is next: a large one that would fit does not overtake, a small one may", () => {
  const memory = new AssemblyMemory(1_000_000);
  const first = new Started(memory, 600_000);
  const waiting = new Started(memory, 700_000);
  const fitting = new Started(memory, 300_000);
  const small = new Started(memory, 60_000);
  expect([waiting, fitting, small].map(({ assembly }) => assembly.isAdmitted)).toEqual([false, false, true]);
  first.assembly.release();
  expect([waiting.allowed, fitting.allowed]).toEqual([[700_000], []]);
  waiting.assembly.release();
  expect(fitting.allowed).toEqual([300_000]);
});

test("one that waits and goes away makes no place, and is not called later", () => {
  const memory = new AssemblyMemory(600_000);
  const [first, second, third] = [500_000, 400_000, 300_000].map((length) => new Started(memory, length));
  second!.assembly.release();
  first!.assembly.release();
  expect([second!.allowed, third!.allowed]).toEqual([[], [300_000]]);
});

test("one that came whole within its window while others wait needs no more", () => {
  const memory = new AssemblyMemory(500_000);
  const first = new Started(memory, 500_000);
  const second = new Started(memory, 200_000);
  expect([second.isBegun, second.assembly.isAdmitted]).toEqual([true, false]);
  second.assembly.take(Buffer.alloc(200_000, "x"), 0, 200_000);
  expect([second.assembly.isWhole, second.assembly.message.length]).toEqual([true, 200_000]);
  second.assembly.release();
  first.assembly.release();
  expect([second.allowed, memory.used]).toEqual([[], 0]);
});

test("what came while it waited is kept when there is room", () => {
  const memory = new AssemblyMemory(500_000);
  const first = new Started(memory, 500_000);
  const second = new Started(memory, 400_000);
  const bytes = Buffer.from(Array.from({ length: 400_000 }, (_, index) => index % 251));
  const at = second.assembly.take(bytes, 0, 100_000);
  first.assembly.release();
  expect(second.allowed).toEqual([300_000]);
  second.assembly.take(bytes, at, bytes.length);
  expect(second.assembly.isWhole).toBe(true);
  expect(Buffer.from(second.assembly.message).equals(bytes)).toBe(true);
});

test("limit: where those that wait hold as much as the limit, there is no place", () => {
  const memory = new AssemblyMemory(600_000);
  const all = Array.from({ length: 4 }, () => new Started(memory, 500_000));
  expect(all.map(({ isBegun }) => isBegun)).toEqual([true, true, true, false]);
  expect(memory.used).toBe(500_000 + 2 * (WINDOW - PREFIX_BYTES));
});
