import { describe, expect, test } from "bun:test";
import { type TestChain, testPolicy } from "@policy-engine/testing";
import * as policy from "./policy.ts";

const definition = import.meta.url;

function list(params: object): Promise<TestChain> {
  return testPolicy(policy, { definition, params });
}

async function passes(chain: TestChain, address: string, forwarded?: string | string[]): Promise<boolean> {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
  const { outcome, answer } = await chain.request({ client: { address, port: 4711 }, headers });
  if (outcome !== "passed") expect(answer).toMatchObject({ status: 403, reason: "ip_not_allowed" });
  return outcome === "passed";
}

describe("by the connection", () => {
  test("allow lets its networks pass, and nobody else", async () => {
    await using chain = await list({ allow: ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"] });
    for (const address of [
      "10.0.0.0",
      "10.255.255.255",
      "192.0.2.7",
      "2001:db8::",
      "2001:db8:ffff::1",
      "::1",
    ])
      expect([address, await passes(chain, address)]).toEqual([address, true]);
    for (const address of [
      "9.255.255.255",
      "11.0.0.0",
      "192.0.2.6",
      "192.0.2.8",
      "2001:db9::",
      "2001:db7:ffff::",
      "::",
      "::2",
    ])
      expect([address, await passes(chain, address)]).toEqual([address, false]);
  });

  test("deny keeps its networks out, also of what allow names", async () => {
    await using alone = await list({ deny: ["10.66.0.0/16"] });
    expect([await passes(alone, "10.66.1.1"), await passes(alone, "203.0.113.1")]).toEqual([false, true]);
    await using both = await list({ allow: ["10.0.0.0/8"], deny: ["10.66.0.0/16", "10.67.0.1"] });
    expect([await passes(both, "10.65.0.1"), await passes(both, "10.67.0.2")]).toEqual([true, true]);
    expect([await passes(both, "10.66.0.1"), await passes(both, "10.67.0.1")]).toEqual([false, false]);
  });

  test("an IPv4-mapped IPv6 address is the IPv4 address, in lists and in requests", async () => {
    await using chain = await list({ allow: ["10.0.0.0/8", "::ffff:192.0.2.0/120"] });
    for (const address of [
      "::ffff:10.1.2.3",
      "::FFFF:0a01:0203",
      "0:0:0:0:0:ffff:10.1.2.3",
      "192.0.2.9",
      "::ffff:c000:209",
    ])
      expect([address, await passes(chain, address)]).toEqual([address, true]);
    for (const address of ["::ffff:11.0.0.1", "::10.1.2.3", "192.0.3.1", "::fffe:10.1.2.3"])
      expect([address, await passes(chain, address)]).toEqual([address, false]);
  });

  test("::/0 is no IPv4, 0.0.0.0/0 no IPv6", async () => {
    await using six = await list({ allow: ["::/0"] });
    expect([
      await passes(six, "2001:db8::1"),
      await passes(six, "10.0.0.1"),
      await passes(six, "::ffff:10.0.0.1"),
    ]).toEqual([true, false, false]);
    await using four = await list({ allow: ["0.0.0.0/0"] });
    expect([
      await passes(four, "2001:db8::1"),
      await passes(four, "10.0.0.1"),
      await passes(four, "::ffff:10.0.0.1"),
    ]).toEqual([false, true, true]);
  });

  test("what is no address does not pass, not even where everybody may", async () => {
    await using all = await list({ allow: ["0.0.0.0/0", "::/0"] });
    await using nobodyDenied = await list({ deny: ["192.0.2.1"] });
    const odd = [
      "",
      "unknown",
      "/run/a.sock",
      "10.0.0",
      "10.0.0.1.2",
      "10.0.0.256",
      "010.0.0.1",
      "10.0.0.1 ",
      " 10.0.0.1",
      "1e1.0.0.1",
      "0x0a.0.0.1",
      "10.0.0.-1",
      "10..0.1",
      "10.0.0.1/8",
    ];
    const oddSix = [
      "fe80::1%eth0",
      "::1%1",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "12345::",
      ":1::",
      "1::2:",
      ":::",
      "[::1]",
      "::10.0.0.256",
      "1:2:3:4:5:6:7:10.0.0.1",
      "::g",
      "1:2:3:4:5:6:7::8",
      "::010.0.0.1",
      ":",
    ];
    for (const address of [...odd, ...oddSix]) {
      expect([address, await passes(all, address)]).toEqual([address, false]);
      expect([address, await passes(nobodyDenied, address)]).toEqual([address, false]);
    }
    expect(await passes(all, "10.0.0.1")).toBe(true);
  });

  test("x-forwarded-for does not matter", async () => {
    await using chain = await list({ allow: ["10.0.0.1"] });
    expect(await passes(chain, "192.0.2.1", "10.0.0.1")).toBe(false);
    expect(await passes(chain, "10.0.0.1", "192.0.2.1")).toBe(true);
  });
});

describe("by x-forwarded-for, counted from the right", () => {
  const params = { allow: ["10.0.0.0/8", "2001:db8::1"], addressFrom: "x-forwarded-for" };

  test("what a client wrote on the left never decides", async () => {
    await using chain = await list({ ...params, trustedHops: 2 });
    const proxy = "192.0.2.1";
    expect(await passes(chain, proxy, `10.0.0.1, ${proxy}`)).toBe(true);
    for (const forged of ["10.0.0.1", "10.0.0.1, 10.0.0.2", `${"10.0.0.1,".repeat(300)}10.0.0.9`])
      expect(await passes(chain, proxy, `${forged}, 203.0.113.9, ${proxy}`)).toBe(false);
    expect(await passes(chain, proxy, ["10.0.0.1, 10.0.0.1", "203.0.113.9", proxy])).toBe(false);
    expect(await passes(chain, proxy, ["203.0.113.9", "10.0.0.1", proxy])).toBe(true);
    expect(await passes(chain, proxy, ["203.0.113.9", `10.0.0.1, ${proxy}`])).toBe(true);
  });

  test("too few entries, none, or no address do not pass", async () => {
    await using chain = await list({ ...params, trustedHops: 2 });
    for (const value of [
      undefined,
      "",
      "10.0.0.1",
      ", ,",
      "10.0.0.1, ",
      "unknown, 192.0.2.1",
      "10.0.0.1%1, 192.0.2.1",
      "10.0.0.1 10.0.0.1, 192.0.2.1",
      "[10.0.0.1], 2001:db8::1",
    ])
      expect([value, await passes(chain, "10.0.0.1", value)]).toEqual([value, false]);
  });

  test("blanks, empty entries, ports and brackets are read", async () => {
    await using chain = await list({ ...params, trustedHops: 1 });
    const good = [
      "10.0.0.1",
      "\t10.0.0.1 \t",
      "10.0.0.1:4711",
      "2001:db8::1",
      "[2001:db8::1]",
      "[2001:DB8::1]:443",
      "x,10.0.0.1,,",
      "::ffff:10.0.0.1",
      "[::ffff:10.0.0.1]:80",
    ];
    for (const value of good) expect([value, await passes(chain, "192.0.2.1", value)]).toEqual([value, true]);
    const bad = [
      "[10.0.0.1]",
      "[2001:db8::1",
      "2001:db8::1]",
      "[2001:db8::1]443",
      "10.0.0.1:",
      "10.0.0.1:x",
      "[]",
      ":80",
      "[]:80",
      "10.0.0.1:1:1",
    ];
    for (const value of bad) expect([value, await passes(chain, "192.0.2.1", value)]).toEqual([value, false]);
  });
});

describe("by x-forwarded-for, behind known proxies", () => {
  const params = {
    allow: ["203.0.113.0/24", "10.1.0.0/16"],
    addressFrom: "x-forwarded-for",
    trustedProxies: ["10.0.0.0/8", "2001:db8::/32"],
  };

  test("the first address from the right that is no proxy counts", async () => {
    await using chain = await list(params);
    expect(await passes(chain, "10.0.0.1", "203.0.113.9")).toBe(true);
    expect(await passes(chain, "10.0.0.1", "198.51.100.1, 203.0.113.9, 10.2.2.2, 2001:db8::5")).toBe(true);
    expect(await passes(chain, "10.0.0.1", "203.0.113.9, 198.51.100.1, 10.2.2.2")).toBe(false);
    expect(await passes(chain, "::ffff:10.0.0.1", "203.0.113.9")).toBe(true);
  });

  test("a connection that is no proxy's is the client, whatever the header says", async () => {
    await using chain = await list(params);
    expect(await passes(chain, "203.0.113.9", "198.51.100.1")).toBe(true);
    expect(await passes(chain, "198.51.100.1", "203.0.113.9")).toBe(false);
    expect(await passes(chain, "", "203.0.113.9")).toBe(false);
  });

  test("where all are proxies, it is the leftmost", async () => {
    await using chain = await list(params);
    expect(await passes(chain, "10.1.0.1")).toBe(true);
    expect(await passes(chain, "10.0.0.1", "10.1.0.9, 10.0.0.2")).toBe(true);
    expect(await passes(chain, "10.1.0.1", "10.0.0.2, 10.1.0.9")).toBe(false);
  });

  test("an entry that is no address, or a chain without end, does not pass", async () => {
    await using chain = await list(params);
    expect(await passes(chain, "10.0.0.1", "203.0.113.9, unknown, 10.0.0.2")).toBe(false);
    expect(await passes(chain, "10.0.0.1", `203.0.113.9, ${"10.0.0.2, ".repeat(48)}10.0.0.2`)).toBe(true);
    expect(await passes(chain, "10.0.0.1", `203.0.113.9, ${"10.0.0.2, ".repeat(49)}10.0.0.2`)).toBe(false);
  });
});

describe("US8: refuses parameters", () => {
  const refused: [string, object, string][] = [
    ["none at all", {}, "allow"],
    ["an empty list", { allow: [] }, "/allow"],
    ["a host name", { allow: ["localhost"] }, "An IPv4 or IPv6 address is needed"],
    ["a zone", { allow: ["fe80::1%eth0"] }, "An IPv4 or IPv6 address is needed"],
    [
      "three parts",
      { allow: ["10.0.0/8"] },
      'allow[0], "10.0.0/8", cannot be used: it is no IPv4 or IPv6 address',
    ],
    ["leading zeros", { deny: ["010.0.0.1"] }, "deny[0]"],
    ["a prefix beyond the address", { allow: ["10.0.0.0/33"] }, "its prefix is not from 0 to 32"],
    ["a prefix beyond the IPv6 address", { allow: ["::1", "::/129"] }, 'allow[1], "::/129"'],
    ["bits behind the prefix", { allow: ["10.0.0.1/8"] }, "bits behind its prefix"],
    ["bits behind an IPv6 prefix", { allow: ["2001:db8::1/64"] }, "bits behind its prefix"],
    ["two prefixes", { allow: ["10.0.0.0/8/8"] }, "An IPv4 or IPv6 address is needed"],
    [
      "the header without saying whom to trust",
      { allow: ["::1"], addressFrom: "x-forwarded-for" },
      "needs trustedHops or trustedProxies",
    ],
    [
      "both ways to trust",
      { allow: ["::1"], addressFrom: "x-forwarded-for", trustedHops: 1, trustedProxies: ["::1"] },
      "one of them",
    ],
    ["trust without the header", { allow: ["::1"], trustedHops: 1 }, "mean nothing without"],
    ["no hop", { allow: ["::1"], addressFrom: "x-forwarded-for", trustedHops: 0 }, "/trustedHops"],
    [
      "a wrong proxy",
      { allow: ["::1"], addressFrom: "x-forwarded-for", trustedProxies: ["1.2.3.4/0"] },
      "trustedProxies[0]",
    ],
  ];
  test.each(refused)("%s", async (_what, params, message) => {
    await expect(list(params)).rejects.toThrow(message);
  });
});
