// A raw HTTP/1.1 message of a file: its first line, headers, an empty line, and the body as it is.
import type { Problem } from "../document/problem.ts";
import { type FileMessage, type MessageKind, problemAt, type Reading } from "./file-message.ts";

/** RFC 9112 section 3: a target with its query, or `*`. The scheme stands nowhere in such a message. */
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\/[^ \t#]*|\*) HTTP\/1\.[01]$/;
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5][0-9]{2})(?: .*)?$/;
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Lines may end in LF alone, as editors write them. */
export function readHttpMessage(
  bytes: Uint8Array,
  { file, kind }: { file: string; kind: MessageKind },
): Reading<FileMessage> {
  const problems: Problem[] = [];
  const report = (line: number, message: string): void => void problems.push(problemAt(file, line, message));
  const { head, rest } = split(bytes);
  const [first = "", ...lines] = head;
  const start = (kind === "request" ? REQUEST_LINE : STATUS_LINE).exec(first);
  if (start === null) report(1, `Cannot read the ${kind}: ${STARTS[kind]} is needed in its first line`);
  const headers: [string, Uint8Array][] = [];
  let authority = "";
  for (const [index, line] of lines.entries()) {
    const [, name, value = ""] = HEADER.exec(line) ?? [];
    if (name === undefined || CONTROL.test(value)) {
      report(index + 2, `Cannot read the ${kind}: this line is not a header, such as "accept: text/html"`);
    } else if (kind === "request" && name.toLowerCase() === "host") authority = utf8(value.trim());
    else headers.push([name, Buffer.from(value.trim(), "latin1")]);
  }
  const content = contentOf(rest, { headers, report, line: head.length + 1 });
  if (problems.length > 0) return { problems };
  const [, one = "", target = ""] = start!;
  const request = { method: one, path: utf8(target), authority, scheme: "http", status: 0 };
  const response = { method: "", path: "", authority: "", scheme: "", status: Number(one) };
  return { value: { ...(kind === "request" ? request : response), headers, content } };
}

const STARTS: Readonly<Record<MessageKind, string>> = {
  request: '"METHOD /PATH HTTP/1.1"',
  response: '"HTTP/1.1 STATUS"',
};

/** The lines before the first empty one, one character a byte, and the bytes after it. */
function split(bytes: Uint8Array): { readonly head: readonly string[]; readonly rest: Uint8Array } {
  const head: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const found = bytes.indexOf(0x0a, at);
    const end = found === -1 ? bytes.length : found;
    const line = Buffer.from(bytes.subarray(at, end)).toString("latin1").replace(/\r$/, "");
    at = end + 1;
    if (line === "") break;
    head.push(line);
  }
  return { head, rest: bytes.subarray(Math.min(at, bytes.length)) };
}

/** As many bytes as `content-length` says, or all of them. */
function contentOf(
  rest: Uint8Array,
  {
    headers,
    report,
    line,
  }: {
    headers: readonly (readonly [string, Uint8Array])[];
    report: (line: number, message: string) => void;
    line: number;
  },
): Uint8Array {
  const lengths = headers.filter(([name]) => name.toLowerCase() === "content-length");
  if (lengths.length === 0) return rest;
  const text = Buffer.from(lengths[0]![1]).toString("latin1");
  const length = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  // Editors put a line end at the end of a file.
  const tail = Buffer.from(rest.subarray(length)).toString("latin1");
  if (lengths.length === 1 && rest.length >= length && /^(\r?\n)?$/.test(tail))
    return rest.subarray(0, length);
  report(
    line,
    `Cannot read the body: it has ${rest.length} bytes, and content-length says another number; leave it out`,
  );
  return rest;
}

function utf8(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}
