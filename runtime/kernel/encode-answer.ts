// An answer to the bytes of a ProcessingResponse. Every record is written last field first, see wire-writer.ts.
import type { HeaderEdit } from "../chain/header-table.ts";
import type { MessageKind } from "./phases.ts";
import { WireWriter } from "./wire/wire-writer.ts";
import { type JsonObject, writeStruct } from "./wire/write-struct.ts";

/** What Envoy is told in return for one message. */
export type Answer = (CommonAnswer | ImmediateAnswer) & {
  /** Namespace, key, value, for Envoy to keep. */
  readonly dynamicMetadata?: JsonObject | undefined;
};

/** "Go on", with these changes. */
export interface CommonAnswer {
  /** The kind of the message that is answered. */
  readonly kind: MessageKind;
  readonly edits?: readonly HeaderEdit[] | undefined;
  /** The whole body, empty to take it away. Undefined: as it is. */
  readonly body?: Uint8Array | undefined;
  readonly clearRouteCache?: boolean | undefined;
  readonly modeOverride?: ModeOverride | undefined;
}

/** "Answer the client with this, and end." */
export interface ImmediateAnswer {
  readonly kind: "immediate_response";
  readonly status: number;
  readonly edits: readonly HeaderEdit[];
  readonly body: Uint8Array;
  readonly grpcStatus?: number | undefined;
  readonly details: string;
}

/** Envoy's ProcessingMode, by field number from 1: the headers, the bodies and the trailers of both directions. */
export type ModeOverride = readonly [
  requestHeaders: number,
  responseHeaders: number,
  requestBody: number,
  responseBody: number,
  requestTrailers: number,
  responseTrailers: number,
];

/** Field numbers of ProcessingResponse. */
const FIELD: Readonly<Record<Answer["kind"], number>> = {
  request_headers: 1,
  response_headers: 2,
  request_body: 3,
  response_body: 4,
  request_trailers: 5,
  response_trailers: 6,
  immediate_response: 7,
};
const DYNAMIC_METADATA = 8;
const MODE_OVERRIDE = 9;
/** Of CommonResponse. */
const CONTINUE_AND_REPLACE = 1;

const writer = new WireWriter();

/** An answer's bytes. */
export interface EncodedAnswer {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** The bytes of an answer. They stay until the next is encoded, or as {@link keepAnswer} says. */
export function encodeAnswer(answer: Answer): EncodedAnswer {
  writer.begin();
  if (answer.dynamicMetadata !== undefined) {
    const mark = writer.mark();
    writeStruct(writer, answer.dynamicMetadata);
    writer.record(DYNAMIC_METADATA, mark);
  }
  if (answer.kind === "immediate_response") writeImmediate(answer);
  else {
    if (answer.modeOverride !== undefined) writeModeOverride(answer.modeOverride);
    writeCommon(answer);
  }
  writer.finish();
  return writer;
}

/** Has an answer stay as it is: it waits for the peer. */
export function keepAnswer(answer: EncodedAnswer): void {
  if (answer === writer) writer.leave();
}

/** An answer that is the same every time, and stays. */
export function constantAnswer(answer: Answer): EncodedAnswer {
  const { bytes, start, end } = encodeAnswer(answer);
  return { bytes: new Uint8Array(bytes.subarray(start, end)), start: 0, end: end - start };
}

function writeCommon({ kind, edits = [], body, clearRouteCache = false }: CommonAnswer): void {
  const outer = writer.mark();
  // An answer to trailers has no such record, and could only change trailers, which no policy sees.
  if (kind !== "request_trailers" && kind !== "response_trailers") {
    if (clearRouteCache) writer.varint(5, 1);
    if (body !== undefined) writeBody(body);
    if (edits.length > 0) writeMutation(2, edits);
    // In an answer to headers, a body goes along only in the place of all that would still come.
    const replaces = body !== undefined && (kind === "request_headers" || kind === "response_headers");
    if (replaces) writer.varint(1, CONTINUE_AND_REPLACE);
    writer.record(1, outer);
  }
  writer.record(FIELD[kind], outer);
}

function writeBody(body: Uint8Array): void {
  const mark = writer.mark();
  if (body.length === 0) writer.varint(2, 1);
  else writer.blob(1, body);
  writer.record(3, mark);
}

function writeImmediate({ status, edits, body, grpcStatus, details }: ImmediateAnswer): void {
  const outer = writer.mark();
  writer.string(5, details);
  if (grpcStatus !== undefined) {
    const mark = writer.mark();
    if (grpcStatus !== 0) writer.varint(1, grpcStatus);
    writer.record(4, mark);
  }
  if (body.length > 0) writer.blob(3, body);
  if (edits.length > 0) writeMutation(2, edits);
  const mark = writer.mark();
  writer.varint(1, status);
  writer.record(1, mark);
  writer.record(FIELD.immediate_response, outer);
}

/** HeaderMutation: values go into raw_value, which is all that Envoy reads; `append` is set where a line is added. */
function writeMutation(field: number, edits: readonly HeaderEdit[]): void {
  const outer = writer.mark();
  for (let index = edits.length - 1; index >= 0; index--) {
    const edit = edits[index]!;
    if (edit.kind === "remove") writer.string(2, edit.name);
  }
  for (let index = edits.length - 1; index >= 0; index--) {
    const edit = edits[index]!;
    if (edit.kind === "remove") continue;
    const option = writer.mark();
    const append = writer.mark();
    if (edit.kind === "append") writer.varint(1, 1);
    writer.record(2, append);
    const header = writer.mark();
    if (edit.value.length > 0) {
      if (typeof edit.value === "string") writer.string(3, edit.value);
      else writer.blob(3, edit.value);
    }
    writer.string(1, edit.name);
    writer.record(1, header);
    writer.record(1, option);
  }
  writer.record(field, outer);
}

function writeModeOverride(modes: ModeOverride): void {
  const mark = writer.mark();
  for (let index = modes.length - 1; index >= 0; index--) {
    if (modes[index] !== 0) writer.varint(index + 1, modes[index]!);
  }
  writer.record(MODE_OVERRIDE, mark);
}
