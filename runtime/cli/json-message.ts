// A message of a file as JSON: `{ "method", "path", "headers", "body" }`, or `{ "status", "headers", "body" }`.
import { parseJson } from "../chain/json.ts";
import { decodeText } from "../config/read-text.ts";
import { compileSchema } from "../document/schema.ts";
import { parseYaml, type YamlDocument } from "../document/yaml-document.ts";
import { type FileMessage, type MessageKind, problemAt, type Reading } from "./file-message.ts";

const HEADER_VALUE = { type: "string", pattern: "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$" };
const SHARED = {
  headers: {
    type: "object",
    propertyNames: { pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
    additionalProperties: { anyOf: [HEADER_VALUE, { type: "array", items: HEADER_VALUE }] },
  },
  /** Text as it is; every other value as JSON. */
  body: {},
};
const SCHEMAS = {
  request: {
    type: "object",
    additionalProperties: false,
    required: ["path"],
    properties: {
      ...SHARED,
      method: { type: "string", pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
      path: { type: "string", pattern: "^(/[^\\s#]*|\\*)$" },
      authority: { type: "string", maxLength: 1024 },
      scheme: { enum: ["http", "https"] },
    },
  },
  response: {
    type: "object",
    additionalProperties: false,
    required: ["status"],
    properties: { ...SHARED, status: { type: "integer", minimum: 100, maximum: 599 } },
  },
} as const;

interface JsonMessage {
  readonly method?: string;
  readonly path?: string;
  readonly authority?: string;
  readonly scheme?: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: unknown;
}

/** Where something is wrong, the reader of YAML says where it stands: JSON is YAML too. */
export function readJsonMessage(
  bytes: Uint8Array,
  { file, kind }: { file: string; kind: MessageKind },
): Reading<FileMessage> {
  const decoded = decodeText(bytes);
  if ("reason" in decoded)
    return { problems: [problemAt(file, 1, `Cannot read the ${kind}: ${decoded.reason}`)] };
  const located = (): YamlDocument => parseYaml(decoded.text, file, { bytes: bytes.length });
  let message: unknown;
  try {
    message = parseJson(decoded.text);
  } catch {
    const { problems } = located();
    return {
      problems:
        problems.length > 0 ? problems : [problemAt(file, 1, `Cannot read the ${kind}: it is not JSON`)],
    };
  }
  const issues = compileSchema(SCHEMAS[kind]).schema!.check(message);
  if (issues.length === 0) return { value: messageOf(message as JsonMessage) };
  const document = located();
  return {
    problems: issues.map(({ pointer, message, hint, at }) =>
      document.problem(pointer, message, { hint, at }),
    ),
  };
}

function messageOf(message: JsonMessage): FileMessage {
  const { method = "GET", path = "", scheme = "http", status = 0, body } = message;
  const headers = Object.entries(message.headers ?? {}).flatMap(([name, value]) =>
    (typeof value === "string" ? [value] : value).map((text) => [name, text] as const),
  );
  const named = (wanted: string) => headers.filter(([name]) => name.toLowerCase() === wanted);
  const isJson = body !== undefined && typeof body !== "string";
  const text = isJson ? JSON.stringify(body) : (body ?? "");
  const kept = status === 0 ? headers.filter(([name]) => name.toLowerCase() !== "host") : headers;
  if (isJson && named("content-type").length === 0) kept.push(["content-type", "application/json"]);
  const authority = message.authority ?? named("host")[0]?.[1] ?? "";
  return {
    ...{ method, path, authority, scheme, status, headers: kept },
    content: new TextEncoder().encode(text),
  };
}
