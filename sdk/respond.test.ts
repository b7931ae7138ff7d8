import { describe, expect, test } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isImmediateResponse, respond } from "./index.ts";
import { detailsOf } from "./respond.ts";

describe("respond()", () => {
  test("keeps what it was told", () => {
    const body = new Uint8Array([0xff, 0x00]);
    const options = { headers: { "x-a": ["1", "2"] }, body, reason: "quota_exceeded", grpcStatus: 8 };
    expect(detailsOf(respond(429, options))).toEqual({ status: 429, ...options });
    expect(detailsOf(respond(204))).toEqual({ status: 204 });
  });

  test("keeps the status when the options have one too", () => {
    const options = { status: 200, body: "no" };
    expect(detailsOf(respond(403, options)).status).toBe(403);
  });

  test("does not follow later changes of the options", () => {
    const options = { body: "first" };
    const response = respond(403, options);
    options.body = "second";
    expect(detailsOf(response).body).toBe("first");
  });

  test("accepts every status that can answer a request", () => {
    for (const status of [200, 204, 304, 404, 599]) expect(detailsOf(respond(status)).status).toBe(status);
  });

  test.each([100, 199, 600, 200.5, -403, Number.NaN, Number.POSITIVE_INFINITY, "403", null, undefined])(
    "refuses the status %p",
    (status) => {
      expect(() => respond(status as number)).toThrow(RangeError);
      expect(() => respond(status as number)).toThrow("Cannot respond with status");
    },
  );

  test.each([-1, 17, 1.5, Number.NaN, "0", null])("refuses the gRPC status %p", (grpcStatus) => {
    expect(() => respond(403, { grpcStatus: grpcStatus as number })).toThrow(RangeError);
    expect(() => respond(403, { grpcStatus: grpcStatus as number })).toThrow(
      "a whole number from 0 to 16 is needed",
    );
  });

  test("accepts the gRPC status at both ends", () => {
    for (const grpcStatus of [0, 16])
      expect(detailsOf(respond(403, { grpcStatus })).grpcStatus).toBe(grpcStatus);
  });

  test.each(["", "a".repeat(65), "two words", "new\nline", "a\n", "a:b", "é"])(
    "refuses the reason %j",
    (reason) => {
      expect(() => respond(403, { reason })).toThrow(TypeError);
      expect(() => respond(403, { reason })).toThrow("Cannot respond with reason");
    },
  );

  test("refuses a reason that is no text", () => {
    expect(() => respond(403, { reason: null as never })).toThrow(TypeError);
  });

  test("accepts a reason of every allowed character, up to 64", () => {
    for (const reason of ["a", "A-Z_09.x", "a".repeat(64)]) {
      expect(detailsOf(respond(403, { reason })).reason).toBe(reason);
    }
  });
});

describe("isImmediateResponse()", () => {
  test("knows what respond() made, and nothing else", () => {
    expect(isImmediateResponse(respond(403))).toBe(true);
    const others = [
      undefined,
      null,
      403,
      "403",
      {},
      [],
      { status: 403 },
      { details: { status: 403 } },
      () => respond(403),
    ];
    for (const other of others) expect(isImmediateResponse(other)).toBe(false);
  });

  test("knows an answer by another copy of the SDK", async () => {
    // As in a policy that brings its own copy of the package along.
    const folder = await mkdtemp(join(tmpdir(), "sdk-copy-"));
    await cp(join(import.meta.dir, "respond.ts"), join(folder, "respond.ts"));
    const copy: typeof import("./respond.ts") = await import(join(folder, "respond.ts"));
    await rm(folder, { recursive: true });
    expect(copy.respond).not.toBe(respond);
    const response = copy.respond(403, { reason: "elsewhere" });
    expect(isImmediateResponse(response)).toBe(true);
    expect(detailsOf(response).reason).toBe("elsewhere");
  });

  test("an answer cannot be forged by JSON", () => {
    expect(isImmediateResponse(JSON.parse(JSON.stringify(respond(403))))).toBe(false);
  });
});
