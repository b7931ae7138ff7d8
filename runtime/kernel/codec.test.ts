// The codec against protobuf-es, an implementation of its own: whatever that reads, ours reads alike; whatever
// ours writes, that reads as meant. What is no message is refused.
import { describe, expect, test } from "bun:test";
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { bytesOf, type HeaderList } from "../chain/header-list.ts";
import type { HeaderEdit } from "../chain/header-table.ts";
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import { EnvoyMessage } from "./codec.ts";
import { type Answer, encodeAnswer, keepAnswer } from "./encode-answer.ts";

/** More in the long run: `CODEC_CASES=1000000`. */
const numRuns = Number(process.env.CODEC_CASES ?? 2_000);
const ATTRIBUTES_KEY = "envoy.filters.http.ext_proc";

type Init = MessageInitShape<typeof ProcessingRequestSchema>;

const bytes = fc.uint8Array({ maxLength: 40 });
const text = fc.string({ maxLength: 12, unit: "grapheme" }).filter((value) => value.isWellFormed());
const name = fc.oneof(
  fc.constantFrom(":method", ":path", ":authority", ":scheme", ":status", "x-a", "X-Upper", "cookie"),
  fc.string({ minLength: 1, maxLength: 90 }).filter((value) => value.isWellFormed()),
);
const header = fc.record({ key: name, value: text, rawValue: bytes });
const headers = fc.record({
  headers: fc.record({ headers: fc.array(header, { maxLength: 30 }) }),
  endOfStream: fc.boolean(),
});
const body = fc.record({ body: fc.uint8Array({ maxLength: 300 }), endOfStream: fc.boolean() });
const trailers = fc.record({ trailers: fc.record({ headers: fc.array(header, { maxLength: 3 }) }) });
const scalar = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean());
const struct = fc.dictionary(
  fc.oneof(fc.constantFrom("xds.route_name", "source.address"), text),
  fc.oneof(scalar, fc.constant(null), fc.array(scalar, { maxLength: 3 }), fc.dictionary(text, scalar)),
  { maxKeys: 5 },
);
const structs = fc.dictionary(fc.oneof(fc.constant(ATTRIBUTES_KEY), text), struct, { maxKeys: 3 });
const mode = fc.integer({ min: 0, max: 7 });

const request = fc.record(
  {
    request: fc.oneof(
      fc.record({ case: fc.constantFrom("requestHeaders", "responseHeaders"), value: headers }),
      fc.record({ case: fc.constantFrom("requestBody", "responseBody"), value: body }),
      fc.record({ case: fc.constantFrom("requestTrailers", "responseTrailers"), value: trailers }),
    ),
    metadataContext: fc.record({ filterMetadata: structs }),
    attributes: structs,
    observabilityMode: fc.boolean(),
    protocolConfig: fc.record({ requestBodyMode: mode, responseBodyMode: mode }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Init>;

/** A field that no version of the message has, of any wire type, also inside the messages of the message. */
const unknownField = fc
  .record({
    number: fc.integer({ min: 100, max: 2 ** 29 - 1 }),
    type: fc.constantFrom(
      WireType.Varint,
      WireType.Bit64,
      WireType.LengthDelimited,
      WireType.Bit32,
      WireType.StartGroup,
    ),
    data: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  })
  .map(({ number, type, data }) => {
    const writer = new BinaryWriter().tag(number, type);
    if (type === WireType.Varint) writer.raw(Uint8Array.of(...data.map((byte) => byte | 0x80), 1));
    else if (type === WireType.LengthDelimited) writer.bytes(data);
    else if (type === WireType.Bit32) writer.raw(data.subarray(0, 4));
    else if (type === WireType.Bit64) writer.raw(data);
    else writer.tag(5, WireType.LengthDelimited).bytes(data).tag(number, WireType.EndGroup);
    return writer.finish();
  });

/** Everything that the kernel can learn from a message. */
function asOurs(wire: Uint8Array): unknown {
  const message = new EnvoyMessage(wire);
  const { kind, observed, fullDuplex } = message;
  const received = message.request();
  const response = message.response("GET");
  const { content, endOfStream } = message.body();
  return {
    kind,
    observed,
    fullDuplex,
    delivery: [message.delivery("request"), message.delivery("response")],
    body: kind?.endsWith("_body") ? { content: [...content], endOfStream } : undefined,
    route: message.attribute("xds.route_name"),
    metadata: message.metadata(ATTRIBUTES_KEY, "source.address"),
    request: {
      method: received.method,
      path: received.path,
      authority: received.authority,
      scheme: received.scheme,
      attributes: received.attributes,
      hasBody: received.hasBody,
      lines: linesOf(received.lines),
    },
    response: { ...response, lines: linesOf(response.lines) },
  };
}

function linesOf(lines: HeaderList): unknown[] {
  return lines.names.map((name, index) => [name, lines.text(index), [...bytesOf(lines.value(index))]]);
}

/** The same, by protobuf-es. */
function asTheirs(wire: Uint8Array): unknown {
  const message = fromBinary(ProcessingRequestSchema, wire);
  const { request, observabilityMode, protocolConfig, attributes, metadataContext } = message;
  const modes = [protocolConfig?.requestBodyMode, protocolConfig?.responseBodyMode];
  const kind = request.case?.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
  const isBody = request.case === "requestBody" || request.case === "responseBody";
  const seen: Record<string, unknown> = Object.assign(Object.create(null), attributes[ATTRIBUTES_KEY]);
  const known = Object.entries(seen).filter(([, value]) => typeof value !== "object");
  const split = (name: "requestHeaders" | "responseHeaders") => {
    const pseudo: Record<string, string> = Object.create(null);
    const lines: unknown[] = [];
    if (request.case === name) {
      for (const { key, value, rawValue } of request.value.headers?.headers ?? []) {
        const given = rawValue.length > 0 ? rawValue : new TextEncoder().encode(value);
        if (key.startsWith(":")) pseudo[key.toLowerCase()] = Buffer.from(given).toString("latin1");
        else
          lines.push([
            key.toLowerCase(),
            new TextDecoder("utf-8", { ignoreBOM: true }).decode(given),
            [...given],
          ]);
      }
    }
    return { pseudo, lines, hasBody: request.case === name && !request.value.endOfStream };
  };
  const asked = split("requestHeaders");
  const answered = split("responseHeaders");
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  return {
    kind,
    observed: observabilityMode,
    fullDuplex: modes.some((found) => found === 4 || found === 5),
    delivery: modes.map((found) =>
      found === 1 ? "streamed" : found === 0 || found === 2 ? "whole" : "partial",
    ),
    body: isBody ? { content: [...request.value.body], endOfStream: request.value.endOfStream } : undefined,
    route: text(seen["xds.route_name"]),
    metadata: text(metadataContext?.filterMetadata[ATTRIBUTES_KEY]?.["source.address"]),
    request: {
      method: asked.pseudo[":method"] ?? "",
      path: asked.pseudo[":path"] ?? "",
      authority: asked.pseudo[":authority"] ?? "",
      scheme: asked.pseudo[":scheme"] ?? "",
      lines: asked.lines,
      attributes: Object.assign(Object.create(null), Object.fromEntries(known)),
      hasBody: asked.hasBody,
    },
    response: {
      status: Number(answered.pseudo[":status"] ?? 0),
      lines: answered.lines,
      hasBody: answered.hasBody,
      method: "GET",
    },
  };
}

const encode = (init: Init): Uint8Array =>
  toBinary(ProcessingRequestSchema, create(ProcessingRequestSchema, init));

describe("reads what protobuf-es reads", () => {
  test("messages", () => {
    fc.assert(
      fc.property(request, (init) => {
        const wire = encode(init);
        expect(asOurs(wire)).toEqual(asTheirs(wire));
      }),
      { numRuns },
    );
  });

  test("messages from a Buffer, and from the middle of one", () => {
    const wire = encode({ request: { case: "requestBody", value: { body: new Uint8Array([1, 2]) } } });
    const within = Buffer.concat([Buffer.alloc(7, 0xff), wire, Buffer.alloc(7, 0xff)]).subarray(
      7,
      7 + wire.length,
    );
    expect(asOurs(within)).toEqual(asTheirs(wire));
  });

  test("several messages in one: repeated oneofs, maps and settings", () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 2, maxLength: 4 }), (inits) => {
        const wire = Buffer.concat(inits.map(encode));
        expect(asOurs(wire)).toEqual(asTheirs(wire));
      }),
      { numRuns },
    );
  });

  test("unknown fields before and after", () => {
    fc.assert(
      fc.property(unknownField, request, unknownField, (before, init, after) => {
        const wire = Buffer.concat([before, encode(init), after]);
        expect(asOurs(wire)).toEqual(asTheirs(wire));
      }),
      { numRuns },
    );
  });

  test("unknown fields at any depth", () => {
    fc.assert(
      fc.property(fc.array(unknownField, { minLength: 5, maxLength: 5 }), headers, (unknown, given) => {
        const [a, b, c, d, e] = unknown as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
        const map = new BinaryWriter().raw(a);
        for (const { key, value, rawValue } of given.headers.headers) {
          const line = new BinaryWriter().raw(b).tag(1, 2).string(key).raw(c).tag(2, 2).string(value);
          map.tag(1, 2).bytes(line.tag(3, 2).bytes(rawValue).raw(d).finish());
        }
        const http = new BinaryWriter()
          .tag(1, 2)
          .bytes(map.raw(e).finish())
          .raw(a)
          .tag(3, 0)
          .bool(given.endOfStream);
        const wire = new BinaryWriter().tag(2, 2).bytes(http.raw(b).finish()).finish();
        expect(asOurs(wire)).toEqual(asTheirs(wire));
      }),
      { numRuns },
    );
  });

  test("numbers in more bytes than they need", () => {
    const wire = new BinaryWriter()
      .raw(Uint8Array.of(0xa2, 0x80, 0x00, 0x87, 0x80, 0x80, 0x00)) // request_body, 7 bytes
      .raw(Uint8Array.of(0x0a, 0x82, 0x00, 7, 8))
      .raw(Uint8Array.of(0x10, 0x81))
      .raw(Uint8Array.of(0x80, 0x80, 0x00))
      .finish();
    // The length says seven: the body, its flag's tag and one byte; make it whole.
    const whole = Uint8Array.of(
      0xa2,
      0x80,
      0x00,
      0x8a,
      0x80,
      0x00,
      0x0a,
      0x82,
      0x00,
      7,
      8,
      0x10,
      0x81,
      0x80,
      0x80,
      0x00,
    );
    expect(asOurs(whole)).toEqual(asTheirs(whole));
    expect(asOurs(whole)).toMatchObject({ body: { content: [7, 8], endOfStream: true } });
    expect(() => asOurs(wire)).toThrow();
  });
});

describe("refuses what is no message", () => {
  test("cut off anywhere", () => {
    fc.assert(
      fc.property(request, fc.nat(), (init, at) => {
        const wire = encode(init);
        const cut = wire.subarray(0, at % (wire.length + 1));
        expect(outcome(asOurs, cut)).toEqual(outcome(asTheirs, cut));
      }),
      { numRuns },
    );
  });

  test("with bytes changed: never accepts what protobuf-es reads otherwise", () => {
    fc.assert(
      fc.property(
        request,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (init, changes) => {
          const wire = new Uint8Array(encode(init));
          if (wire.length === 0) return;
          for (const [at, byte] of changes) wire[at % wire.length] = byte;
          const ours = outcome(asOurs, wire);
          const theirs = outcome(asTheirs, wire);
          // Theirs reads a known field whatever its wire type; ours takes it for an unknown one, as C++ does. Ours
          // does not look into what nobody asks for, and knows no mode beyond Envoy's.
          if (ours !== "refused" && theirs !== "refused" && outcome(mistyped, wire) === false)
            expect(ours).toEqual(theirs);
        },
      ),
      { numRuns },
    );
  });

  const cases: [string, number[]][] = [
    ["a field of number 0", [0x00, 0x01]],
    ["a wire type 6", [0x0e]],
    ["a wire type 7", [0x0f]],
    ["a group that never ends", [0xa3, 0x06]],
    ["an end of a group that never began", [0xa4, 0x06]],
    ["a group that ends with another's number", [0xa3, 0x06, 0xac, 0x06]],
    ["a varint of eleven bytes", [0x50, ...Array(10).fill(0x80), 0x00]],
    ["a length beyond the end", [0x12, 0x05, 0x00]],
    ["a length of four gigabytes", [0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["a length that ends behind its record", [0x12, 0x02, 0x0a, 0x05, 0, 0, 0, 0, 0]],
    ["a header name that is not UTF-8", [0x12, 0x07, 0x0a, 0x05, 0x0a, 0x03, 0x0a, 0x01, 0xff]],
  ];
  test.each(cases)("%s", (_what, wire) => {
    expect(() => asOurs(Uint8Array.from(wire))).toThrow();
  });

  test("edge: groups a million deep do not take the stack", () => {
    expect(() => asOurs(Buffer.alloc(1_000_000, Uint8Array.of(0xa3, 0x06)))).toThrow("nested too deeply");
  });

  test("edge: more headers than anybody sends", () => {
    const line = Uint8Array.of(0x0a, 0x03, 0x0a, 0x01, 0x61);
    const map = Buffer.alloc(20_000 * line.length, line);
    const http = new BinaryWriter().tag(1, 2).bytes(map).finish();
    expect(() => asOurs(new BinaryWriter().tag(2, 2).bytes(http).finish())).toThrow("too many headers");
  });
});

function encoded(answer: Answer): Uint8Array {
  const { bytes, start, end } = encodeAnswer(answer);
  return new Uint8Array(bytes.subarray(start, end));
}

describe("writes what protobuf-es reads as meant", () => {
  const edit = fc.oneof(
    fc.record({ kind: fc.constantFrom("overwrite", "append"), name: text, value: fc.oneof(bytes, text) }),
    fc.record({ kind: fc.constant("remove"), name: text }),
  ) as fc.Arbitrary<HeaderEdit>;
  const dynamicMetadata = fc.option(
    fc.dictionary(text, fc.dictionary(text, fc.oneof(scalar, fc.jsonValue()), { maxKeys: 3 }), {
      maxKeys: 2,
    }),
    {
      nil: undefined,
    },
  );
  const modes = fc.tuple(...Array.from({ length: 6 }, () => fc.integer({ min: 0, max: 3 })));
  const common = fc.record({
    kind: fc.constantFrom("request_headers", "response_headers", "request_body", "response_body"),
    edits: fc.array(edit, { maxLength: 8 }),
    body: fc.option(fc.uint8Array({ maxLength: 10_000 }), { nil: undefined }),
    clearRouteCache: fc.boolean(),
    modeOverride: fc.option(modes, { nil: undefined }),
    dynamicMetadata,
  });
  const immediate = fc.record({
    kind: fc.constant("immediate_response"),
    status: fc.integer({ min: 200, max: 599 }),
    edits: fc.array(edit, { maxLength: 8 }),
    body: fc.uint8Array({ maxLength: 10_000 }),
    grpcStatus: fc.option(fc.integer({ min: 0, max: 16 }), { nil: undefined }),
    details: text,
    dynamicMetadata,
  });

  test("answers of every kind, one after the other", () => {
    fc.assert(
      fc.property(fc.oneof(common, immediate) as fc.Arbitrary<Answer>, (answer) => {
        const read = fromBinary(ProcessingResponseSchema, encoded(answer));
        expect(read).toEqual(create(ProcessingResponseSchema, meant(answer)));
      }),
      { numRuns },
    );
  });

  test("bodies larger than the writer's room, and small answers after them", () => {
    for (const size of [4_096, 65_536, 1_048_576, 3]) {
      const body = crypto.getRandomValues(new Uint8Array(Math.min(size, 65_536)));
      const whole = Buffer.alloc(size, body);
      const read = fromBinary(ProcessingResponseSchema, encoded({ kind: "request_body", body: whole }));
      const { response } = read;
      expect(response.case).toBe("requestBody");
      const mutation =
        response.case === "requestBody" ? response.value.response?.bodyMutation?.mutation : undefined;
      expect(Buffer.compare(mutation?.value as Uint8Array, whole)).toBe(0);
    }
  });

  test.each([10, 10_000, 1_000_000])(
    "an answer of %d bytes that waits for the peer stays as it is",
    (size) => {
      const first = encodeAnswer({ kind: "request_body", body: new Uint8Array(size).fill(0x61) });
      const place = first.bytes.subarray(first.start, first.end);
      const before = new Uint8Array(place);
      keepAnswer(first);
      for (let count = 0; count < 3; count++) {
        encodeAnswer({ kind: "request_body", body: new Uint8Array(size).fill(0x7a) });
        encodeAnswer({ kind: "response_body", body: new Uint8Array(3) });
      }
      expect(Buffer.compare(place, before)).toBe(0);
    },
  );

  test("an answer that cannot be written leaves nothing behind for the next one", () => {
    const before = encoded({ kind: "request_headers", edits: [{ kind: "remove", name: "a" }] });
    const broken = { x: () => 1 } as never;
    expect(() => encoded({ kind: "request_headers", dynamicMetadata: broken })).toThrow();
    const edits = [{ kind: "overwrite", name: "b", value: undefined as never }] as const;
    expect(() => encoded({ kind: "request_headers", edits })).toThrow();
    expect(encoded({ kind: "request_headers", edits: [{ kind: "remove", name: "a" }] })).toEqual(before);
  });
});

function outcome(read: (wire: Uint8Array) => unknown, wire: Uint8Array): unknown {
  try {
    return read(wire);
  } catch {
    return "refused";
  }
}

/** Whether a known field of the message has a wire type that is not its own, at any depth. */
function mistyped(wire: Uint8Array, desc: DescMessage = ProcessingRequestSchema): boolean {
  const reader = new BinaryReader(wire);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const field = desc.fields.find((one) => one.number === number);
    if (field !== undefined && type !== wireTypeOf(field)) return true;
    if (field?.message === undefined) {
      reader.skip(type, number);
      continue;
    }
    const inner = reader.bytes();
    if (field.fieldKind !== "map") {
      if (mistyped(inner, field.message)) return true;
      continue;
    }
    const entry = new BinaryReader(inner);
    while (entry.pos < entry.len) {
      const [part, partType] = entry.tag();
      if (part <= 2 && partType !== WireType.LengthDelimited) return true;
      if (part !== 2) entry.skip(partType, part);
      else if (mistyped(entry.bytes(), field.message)) return true;
    }
  }
  return false;
}

function wireTypeOf(field: DescField): WireType {
  if (field.fieldKind === "enum" || field.scalar === ScalarType.BOOL) return WireType.Varint;
  return field.scalar === ScalarType.DOUBLE ? WireType.Bit64 : WireType.LengthDelimited;
}

function meant(answer: Answer): MessageInitShape<typeof ProcessingResponseSchema> {
  const mutation = (edits: readonly HeaderEdit[]) => ({
    setHeaders: edits.flatMap((one) =>
      one.kind === "remove"
        ? []
        : [
            {
              header: { key: one.name, rawValue: Uint8Array.from(Buffer.from(one.value as string)) },
              append: one.kind === "append",
            },
          ],
    ),
    removeHeaders: edits.flatMap((one) => (one.kind === "remove" ? [one.name] : [])),
  });
  const rest = answer.dynamicMetadata === undefined ? {} : { dynamicMetadata: answer.dynamicMetadata };
  if (answer.kind === "immediate_response") {
    const { status, edits, body, grpcStatus, details } = answer;
    const value = {
      status: { code: status },
      ...(edits.length > 0 && { headers: mutation(edits) }),
      body,
      ...(grpcStatus !== undefined && { grpcStatus: { status: grpcStatus } }),
      details,
    };
    return { response: { case: "immediateResponse", value }, ...rest };
  }
  const { kind, edits = [], body, clearRouteCache = false, modeOverride } = answer;
  const names = ["requestHeaderMode", "responseHeaderMode", "requestBodyMode", "responseBodyMode"] as const;
  const all = [...names, "requestTrailerMode", "responseTrailerMode"];
  const response = {
    status: body !== undefined && kind.endsWith("_headers") ? 1 : 0,
    ...(edits.length > 0 && { headerMutation: mutation(edits) }),
    ...(body !== undefined && {
      bodyMutation: {
        mutation: body.length === 0 ? { case: "clearBody", value: true } : { case: "body", value: body },
      },
    }),
    clearRouteCache,
  };
  const field = kind.replace(/_(.)/, (_match, letter: string) => letter.toUpperCase());
  return {
    response: { case: field, value: { response } },
    ...(modeOverride && {
      modeOverride: Object.fromEntries(modeOverride.map((value, index) => [all[index], value])),
    }),
    ...rest,
  } as MessageInitShape<typeof ProcessingResponseSchema>;
}
