// Functions that expressions have beside those of cel-js, for the type checker; functions.ts does them.

const TIMESTAMP = "google.protobuf.Timestamp";
const DURATION = "google.protobuf.Duration";

/** Names before a dot that are no values: `sets.contains(a, b)`. */
export const NAMESPACES = { sets: "Sets", base64: "Base64" } as const;

export const DECLARATIONS: readonly string[] = [
  "int(uint): int",
  `int(${TIMESTAMP}): int`,
  `string(${TIMESTAMP}): string`,
  `string(${DURATION}): string`,
  `timestamp(${TIMESTAMP}): ${TIMESTAMP}`,
  `duration(${DURATION}): ${DURATION}`,
  "string.charAt(int): string",
  "string.replace(string, string): string",
  "string.replace(string, string, int): string",
  "Sets.contains(list, list): bool",
  "Sets.equivalent(list, list): bool",
  "Sets.intersects(list, list): bool",
  "Base64.encode(bytes): string",
  "Base64.decode(string): bytes",
];

export const OPERATORS: readonly string[] = ["<", "<=", ">", ">="].map((sign) => `bytes ${sign} bytes`);
