// Requests and responses in files, for `run`: a raw HTTP/1.1 message, or JSON with its parts.
import { open } from "node:fs/promises";
import { type HeaderLine, type HeaderList, headerList } from "../chain/header-list.ts";
import type { ReceivedRequest, ReceivedResponse } from "../chain/messages.ts";
import { explainFault, refusal } from "../config/read-text.ts";
import { type FileMessage, type MessageKind, problemAt, type Reading } from "./file-message.ts";
import { readHttpMessage } from "./http-message.ts";
import { readJsonMessage } from "./json-message.ts";

/** What a message may have beside its body. */
const MESSAGE_HEAD_BYTES = 256 * 1024;

/** A request of a file, as the chain takes it. */
export async function readRequestFile(
  file: string,
  bodyBytes: number,
): Promise<Reading<{ received: ReceivedRequest; content: Uint8Array }>> {
  const reading = await readMessage(file, { kind: "request", bodyBytes });
  if (reading.problems !== undefined) return reading;
  const { method, path, authority, scheme, content } = reading.value;
  const received = {
    ...{ method: wire(method), path: wire(path), authority: wire(authority), scheme },
    lines: linesOf(reading.value),
    client: { address: "127.0.0.1", port: 0 },
    attributes: {},
    hasBody: content.length > 0,
  };
  return { value: { received, content } };
}

/** A response of a file to a request with that method, as the chain takes it. */
export async function readResponseFile(
  file: string,
  { method, bodyBytes }: { method: string; bodyBytes: number },
): Promise<Reading<{ received: ReceivedResponse; content: Uint8Array }>> {
  const reading = await readMessage(file, { kind: "response", bodyBytes });
  if (reading.problems !== undefined) return reading;
  const { status, content } = reading.value;
  const received = { status, lines: linesOf(reading.value), hasBody: content.length > 0, method };
  return { value: { received, content } };
}

async function readMessage(
  file: string,
  { kind, bodyBytes }: { kind: MessageKind; bodyBytes: number },
): Promise<Reading<FileMessage>> {
  const read = await readBytes(file, bodyBytes + MESSAGE_HEAD_BYTES);
  if ("reason" in read) return { problems: [problemAt(file, 1, `Cannot read the ${kind}: ${read.reason}`)] };
  const { bytes } = read;
  const begins = bytes.find((byte) => byte > 0x20);
  return begins === 0x7b ? readJsonMessage(bytes, { file, kind }) : readHttpMessage(bytes, { file, kind });
}

async function readBytes(
  path: string,
  maxBytes: number,
): Promise<{ readonly bytes: Uint8Array } | { readonly reason: string }> {
  try {
    await using handle = await open(path, "r");
    const reason = refusal(await handle.stat(), maxBytes);
    return reason === undefined ? { bytes: await handle.readFile() } : { reason };
  } catch (error) {
    return { reason: explainFault(error) };
  }
}

/** The length is told as a client or an upstream does, unless the file says how the body ends. */
function linesOf({ headers, content }: FileMessage): HeaderList {
  const lines = headers.map(([name, value]): HeaderLine => ({ name: name.toLowerCase(), value }));
  const has = (name: string): boolean => lines.some((line) => line.name === name);
  if (content.length > 0 && !has("content-length") && !has("transfer-encoding")) {
    lines.push({ name: "content-length", value: String(content.length) });
  }
  return headerList(lines);
}

/** The chain has these as Envoy sends them, one character a byte. */
function wire(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
