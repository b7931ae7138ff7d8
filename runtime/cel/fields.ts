// What conditions can name, in one table for the type checker and for the survey of what a condition reads.

/** Types of the engine's own; every field has a getter of the same name in variables.ts. */
export const FIELDS = {
  Request: {
    path: "string",
    rawPath: "string",
    query: "map<string, string>",
    rawQuery: "string",
    method: "string",
    authority: "string",
    host: "string",
    scheme: "string",
    headers: "map<string, string>",
    body: "string",
    metadata: "map<string, dyn>",
    original: "Original",
  },
  Original: {
    path: "string",
    method: "string",
    authority: "string",
    scheme: "string",
    headers: "map<string, string>",
  },
  Response: { status: "int", headers: "map<string, string>", body: "string" },
  Client: { address: "string", port: "int" },
  Auth: { subject: "string", scheme: "string", claims: "map<string, dyn>" },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;

export const VARIABLES = {
  request: "Request",
  response: "Response",
  metadata: "map<string, dyn>",
  route: "string",
  client: "Client",
  auth: "Auth",
  time: "google.protobuf.Timestamp",
} as const satisfies Readonly<Record<string, string>>;

/** The fields of a type of the engine's own; undefined for other types. */
export function fieldsOf(type: string | undefined): Readonly<Record<string, string>> | undefined {
  return type !== undefined && Object.hasOwn(FIELDS, type) ? FIELDS[type as keyof typeof FIELDS] : undefined;
}

/** A field as it is spelt here, for both spellings: `Path` is `path`. Undefined when there is none. */
export function canonicalField(fields: Readonly<Record<string, string>>, name: string): string | undefined {
  const lower = name.slice(0, 1).toLowerCase() + name.slice(1);
  return Object.hasOwn(fields, lower) ? lower : undefined;
}
