import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FixedWindowLimit } from "./fixed-window-limit.ts";
import { GcraLimit } from "./gcra-limit.ts";
import { networkOf } from "./key-reader.ts";
import { KeyTable } from "./key-table.ts";
import { KeyedHash } from "./keyed-hash.ts";
import { type Limit, TICKS_PER_MS } from "./limit.ts";

const hash = new KeyedHash();
const second = 1000 * TICKS_PER_MS;

interface Arrival {
  readonly after: number;
  readonly key: string;
  readonly cost: number;
}

const arrivals = fc.array(
  fc.record({
    after: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: second / 4 }),
      fc.integer({ min: 0, max: 5 * second }),
    ),
    key: fc.constantFrom("a", "b", "ü"),
    cost: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 12 })),
  }),
  { minLength: 1, maxLength: 200 },
);

const sizes = fc.record({
  requests: fc.integer({ min: 1, max: 10 }),
  perTicks: fc.integer({ min: second / 10, max: 3 * second }),
  burst: fc.integer({ min: 1, max: 12 }),
});

/** Everything that was let through, with its time. */
function run(
  limit: Limit,
  list: readonly Arrival[],
  each: (at: number, arrival: Arrival, passed: boolean) => void,
) {
  let now = 1_000_000;
  for (const arrival of list) {
    now += arrival.after;
    const passed = limit.look(now, hash.of(arrival.key), arrival.cost);
    if (passed) limit.take();
    each(now, arrival, passed);
  }
}

describe("GcraLimit", () => {
  test("decides as a bucket that is filled drop by drop", () => {
    fc.assert(
      fc.property(sizes, arrivals, (settings, list) => {
        const interval = Math.ceil(settings.perTicks / settings.requests);
        const room = settings.burst * interval;
        const buckets = new Map<string, { level: number; at: number }>();
        const limit = new GcraLimit(settings, new KeyTable(1000));
        run(limit, list, (now, { key, cost }, passed) => {
          const { level, at } = buckets.get(key) ?? { level: room, at: now };
          let left = Math.min(level + (now - at), room);
          expect(passed).toBe(left >= cost * interval);
          if (passed) left -= cost * interval;
          buckets.set(key, { level: left, at: now });
          expect(limit.remaining()).toBe(Math.floor(left / interval));
          for (const units of [1, 2, settings.burst]) {
            expect(Math.max(limit.ticksUntil(units), 0)).toBe(Math.max(units * interval - left, 0));
          }
        });
      }),
    );
  });

  test("lets no more through in any time than the burst and what comes back", () => {
    fc.assert(
      fc.property(sizes, arrivals, (settings, list) => {
        const { requests, perTicks, burst } = settings;
        const taken: { at: number; cost: number }[] = [];
        run(new GcraLimit(settings, new KeyTable(1000)), list, (at, { key, cost }, passed) => {
          if (passed && key === "a") taken.push({ at, cost });
        });
        for (let from = 0; from < taken.length; from++) {
          let sum = 0;
          for (const { at, cost } of taken.slice(from)) {
            sum += cost;
            expect(sum).toBeLessThanOrEqual(burst + ((at - taken[from]!.at) * requests) / perTicks);
          }
        }
      }),
    );
  });

  test("who waits as long as it is told passes, who waits a tick less does not", () => {
    fc.assert(
      fc.property(sizes, arrivals, (settings, list) => {
        const limit = new GcraLimit(settings, new KeyTable(1000));
        run(limit, list, (now, { key, cost }, passed) => {
          if (passed || cost > settings.burst) return;
          const wait = limit.ticksUntil(cost);
          expect(wait).toBeGreaterThan(0);
          expect(limit.look(now + wait - 1, hash.of(key), cost)).toBe(false);
          expect(limit.look(now + wait, hash.of(key), cost)).toBe(true);
        });
      }),
    );
  });

  test("does not drift: a million requests over ten hours", () => {
    // An interval that is no whole number of anything: 7 in 3 seconds.
    const limit = new GcraLimit({ requests: 7, perTicks: 3 * second, burst: 7 }, new KeyTable(1000));
    const hashed = hash.of("a");
    let passed = 0;
    const step = 1_234_567; // 39 ms
    const tries = 1_000_000;
    for (let index = 0; index < tries; index++) {
      if (!limit.look(index * step, hashed, 1)) continue;
      limit.take();
      passed++;
    }
    expect(passed).toBe(7 + Math.floor(((tries - 1) * step) / Math.ceil((3 * second) / 7)));
  });
});

describe("a table that is handed on", () => {
  const hashed = hash.of("a");
  const take = (limit: Limit, now: number, times: number): number => {
    let passed = 0;
    for (let index = 0; index < times; index++) {
      if (!limit.look(now, hashed, 1)) continue;
      limit.take();
      passed++;
    }
    return passed;
  };
  const table = () => new KeyTable(1000);

  test("GcraLimit: what was half used stays half used", () => {
    const shared = table();
    const before = new GcraLimit({ requests: 10, perTicks: second, burst: 10 }, shared);
    expect(take(before, second, 5)).toBe(5);
    expect(take(new GcraLimit({ requests: 4, perTicks: second, burst: 4 }, shared), second, 9)).toBe(2);
    expect(take(before, second, 9)).toBe(0);
  });

  test("GcraLimit: a slower limit before holds nobody up longer than the new one does", () => {
    const shared = table();
    const before = new GcraLimit({ requests: 1, perTicks: 3600 * second, burst: 1 }, shared);
    expect(take(before, second, 2)).toBe(1);
    const after = new GcraLimit({ requests: 10, perTicks: second, burst: 10 }, shared);
    expect(take(after, second, 20)).toBe(0);
    expect(after.ticksUntil(1)).toBe(second / 10);
    expect(take(after, second + second / 10, 20)).toBe(1);
    expect(take(after, 3 * second, 20)).toBe(10);
  });

  test("FixedWindowLimit: the count stays", () => {
    const shared = table();
    expect(take(new FixedWindowLimit({ requests: 5, perTicks: second, burst: 1 }, shared), second, 9)).toBe(
      5,
    );
    const raised = new FixedWindowLimit({ requests: 8, perTicks: second, burst: 1 }, shared);
    expect(take(raised, second, 9)).toBe(3);
    const lowered = new FixedWindowLimit({ requests: 2, perTicks: second, burst: 1 }, shared);
    expect(take(lowered, second, 9)).toBe(0);
    expect(lowered.remaining()).toBe(0);
  });
});

describe("FixedWindowLimit", () => {
  test("lets never more through in a window, and refuses only what would be more", () => {
    fc.assert(
      fc.property(sizes, arrivals, (settings, list) => {
        const counts = new Map<string, number>();
        const limit = new FixedWindowLimit(settings, new KeyTable(1000));
        run(limit, list, (now, { key, cost }, passed) => {
          const window = `${Math.floor(now / settings.perTicks)} ${key}`;
          const count = counts.get(window) ?? 0;
          expect(passed).toBe(count + cost <= settings.requests);
          const after = passed ? count + cost : count;
          counts.set(window, after);
          expect(limit.remaining()).toBe(settings.requests - after);
          const end = now + limit.ticksUntil();
          expect(Math.floor(end / settings.perTicks)).toBe(Math.floor(now / settings.perTicks) + 1);
          expect(end % settings.perTicks).toBe(0);
        });
      }),
    );
  });
});

describe("memory", () => {
  const settings = { requests: 5, perTicks: second, burst: 5 };
  test.each([GcraLimit, FixedWindowLimit])("a million hostile keys give nobody more: %p", (Kind) => {
    const table = new KeyTable(1000);
    const limit = new Kind(settings, table);
    const take = (key: string): boolean => {
      const passed = limit.look(7 * second, hash.of(key), 1);
      if (passed) limit.take();
      return passed;
    };
    const own = Array.from({ length: 200 }, (_, index) => `attacker-${index}`);
    for (const key of own) for (let index = 0; index < 5; index++) expect(take(key)).toBe(true);
    let passed = 0;
    for (let index = 0; index < 1_000_000; index++) if (take(`hostile-${index}`)) passed++;
    expect(own.filter(take)).toEqual([]);
    expect(table.bytes).toBeLessThanOrEqual(64_000);
    // No more counters than places.
    expect(passed).toBeLessThanOrEqual((table.bytes / 16) * 5);
    expect(limit.look(8 * second, hash.of(own[0]!), 5)).toBe(true);
  });
});

describe("networkOf()", () => {
  const cases: [address: string, network: string][] = [
    ["", ""],
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8::3:4:5:6", "2001:db8:0:0::/64"],
    ["2001::2:3:4:5:6:7", "2001:0:2:3::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["1:2:3:4:5:6:7::", "1:2:3:4::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ];
  test.each(cases)("%s is of %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
