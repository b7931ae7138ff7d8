import type { Problem } from "../document/problem.ts";

/** A message as it stands in a file. */
export interface FileMessage {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: string;
  /** Of a response, else 0. */
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string | Uint8Array])[];
  readonly content: Uint8Array;
}

/** What was read, or why it was not. */
export type Reading<T> =
  | { readonly value: T; readonly problems?: undefined }
  | { readonly problems: Problem[] };

export type MessageKind = "request" | "response";

/** A problem of a file as a whole, or of one of its lines. */
export function problemAt(file: string, line: number, message: string): Problem {
  return { severity: "error", file, line, column: 1, pointer: "", message };
}
