// Random input, as much as a test run has time for; `make test-long` has more. The seed repeats a run.
import { expect, test } from "bun:test";
import { Random } from "../helpers/random.ts";
import { fuzzConnection, fuzzHpack } from "./fuzz.ts";
import { WellBehavedPeer } from "./well-behaved-peer.ts";

const SEED = Number(process.env.FUZZ_SEED ?? (Math.random() * 2 ** 31) | 0);
const HPACK_CASES = Number(process.env.FUZZ_HPACK ?? 50_000);
const CONNECTION_CASES = Number(process.env.FUZZ_CONNECTIONS ?? 10_000);
const WELL_BEHAVED_CASES = Number(process.env.FUZZ_WELL_BEHAVED ?? 300);
const LONG_MS = 3_600_000;

/** Each case has a seed of its own, so that one can be repeated alone. */
function firstFailure(cases: number, play: (random: Random) => string | undefined): string | undefined {
  for (let index = 0; index < cases; index++) {
    const failure = play(new Random(SEED + index));
    if (failure !== undefined) return `FUZZ_SEED=${SEED + index}: ${failure}`;
  }
  return undefined;
}

test(
  `issue 6: ${HPACK_CASES} random header blocks are read or refused (FUZZ_SEED=${SEED})`,
  () => {
    expect(firstFailure(HPACK_CASES, fuzzHpack)).toBeUndefined();
  },
  LONG_MS,
);

test(
  `issue 6: ${CONNECTION_CASES} random connections leave nothing behind (FUZZ_SEED=${SEED})`,
  () => {
    expect(firstFailure(CONNECTION_CASES, fuzzConnection)).toBeUndefined();
  },
  LONG_MS,
);

test(
  `issue 6: ${WELL_BEHAVED_CASES} clients that keep the rules get everything back within them (FUZZ_SEED=${SEED})`,
  () => {
    expect(firstFailure(WELL_BEHAVED_CASES, (random) => new WellBehavedPeer(random).play())).toBeUndefined();
  },
  LONG_MS,
);
