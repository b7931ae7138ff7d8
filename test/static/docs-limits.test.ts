// The limits in the README are those of the code: no value of its own, and none left out.
import { expect, test } from "bun:test";
import * as builderLimits from "../../builder/limits.ts";
import {
  type Bounds,
  formatQuantity,
  LIMITS,
  MESSAGE_TIMEOUT,
  METADATA_SCHEMA,
} from "../../runtime/config/engine-config-schema.ts";
import { DEFAULT_YAML_LIMITS } from "../../runtime/document/yaml-value.ts";
import { PROJECT, rowOf, type Table, tableOf, textOf } from "./doc-parts.ts";

const README = "README.md";
const KIB = 1024;
const MIB = 1024 * KIB;

/** Rows of fixed limits and the constants behind them, as `room/NAME`. */
const FIXED: Readonly<Record<string, readonly string[]>> = {
  "`policy-engine.yaml`": ["config/MAX_BYTES"],
  "Reading one route file": ["document/MAX_PARSE_MS"],
  "Problems of one YAML text": ["document/MAX_PROBLEMS"],
  "Problems of one change of the routes": ["config/MAX_PROBLEMS"],
  "Errors of one value against its schema": ["document/MAX_ERRORS"],
  "Name of a route": ["config/MAX_ROUTE_NAME"],
  "Path of a Unix socket": ["config/MAX_SOCKET_PATH"],
  "A secret's file": ["policy/MAX_SECRET_BYTES"],
  "Import of a policy's module": ["policy/IMPORT_TIMEOUT_MS"],
  "Messages of a policy's `validate`": ["config/MAX_MESSAGES"],
  "A policy's reason in a message": ["policy/MAX_REASON"],
  "Policies created at a time": ["config/MAX_CREATING"],
  "Close of all policies at the end": ["/CLOSE_TIMEOUT_MS"],
  "A message from Envoy beside its body": ["/MESSAGE_OVERHEAD_BYTES"],
  "Decoded bytes for a byte of a coded body": ["chain/DEFAULT_MAX_RATIO"],
  "Codings of one body": ["chain/MAX_CODINGS"],
  "Window of a body in zstd": ["chain/MAX_ZSTD_WINDOW_BYTES"],
  "Nesting in JSON that `json()` reads": ["chain/DEFAULT_MAX_DEPTH"],
  "A condition": ["cel/MAX_SOURCE_BYTES"],
  "Macros inside each other in a condition": ["cel/MAX_MACRO_NESTING"],
  "Items that a condition goes over": ["cel/MAX_ITEMS"],
  "Work of one evaluation": ["cel/MAX_WORK"],
  "Text that a condition makes": ["cel/MAX_MADE_TEXT"],
  "Text that a condition splits or replaces in": ["cel/MAX_SPLIT_TEXT"],
  "Text of a duration in a condition": ["cel/MAX_DURATION_TEXT"],
  "A regular expression in a condition": ["cel/MAX_PATTERN_TEXT"],
  "One that the condition makes": ["cel/MAX_MADE_PATTERN_TEXT"],
  "Instructions of a regular expression": ["cel/MAX_PATTERN_INSTRUCTIONS"],
  "Copies of characters in a regular expression": ["cel/MAX_PATTERN_COPIES"],
  "Lists and maps inside each other in a value": ["cel/MAX_VALUE_DEPTH"],
  "Headers of one message": ["kernel/wire/MAX_HEADERS"],
  "Messages of one exchange that wait for an answer": ["kernel/MAX_WAITING"],
  "Watches of health over gRPC": ["admin/MAX_WATCHES"],
  "Depth of dynamic metadata that a policy returns": ["chain/METADATA_DEPTH"],
  "A message in the log": ["observability/MAX_MESSAGE"],
  "A text in a log line": ["observability/MAX_TEXT"],
  "All texts of a log line": ["observability/MAX_TOTAL_TEXT"],
  "Depth, members and values of a log line": [
    "observability/MAX_DEPTH",
    "observability/MAX_MEMBERS",
    "observability/MAX_VALUES",
  ],
  "Lines of one kind in a second": ["observability/MAX_LINES_A_SECOND"],
  "Kinds of such lines in a second": ["observability/MAX_KINDS"],
  "Log that its reader has not taken": ["observability/MAX_WAITING"],
  "Series of one metric": ["observability/MAX_SERIES"],
};

/** Rows of what a peer may ask of the HTTP/2 server. */
const HTTP2: Readonly<Record<string, readonly string[]>> = {
  "Payload of a frame": ["transport/http2/MAX_FRAME_BYTES"],
  "Header list of a stream": ["transport/http2/MAX_HEADER_LIST_BYTES"],
  "Headers of a stream": ["transport/http2/MAX_HEADERS"],
  "CONTINUATION frames of a header block": ["transport/http2/MAX_CONTINUATIONS"],
  "Header table": ["transport/http2/HEADER_TABLE_BYTES"],
  "PING, SETTINGS, empty DATA and ignored frames in a second": [
    "transport/http2/MAX_PINGS",
    "transport/http2/MAX_SETTINGS",
    "transport/http2/MAX_EMPTY_DATA",
    "transport/http2/MAX_IGNORED_FRAMES",
  ],
  "Messages that have begun to come, on all connections": ["transport/http2/ASSEMBLY_BYTES"],
  "Answers that the peer has not taken": ["transport/http2/MAX_UNREAD_BYTES"],
  "Bytes that the socket has not taken": ["transport/http2/PAUSE_READING_BYTES"],
  "From the connect to the first SETTINGS": ["transport/http2/PREFACE_TIMEOUT_MS"],
  "Silence of the peer": ["transport/http2/SILENCE_MS"],
  "An answer to a PING, or to the close": ["transport/http2/REPLY_TIMEOUT_MS"],
  "A message or an answer that does not move": ["transport/http2/STALL_TIMEOUT_MS"],
  "A stream that the peer leaves half open": ["transport/http2/LINGER_MS"],
  "A file of `extProc.tls`": ["transport/http2/MAX_TLS_FILE_BYTES"],
};

/** Limits that nobody outside of the code can meet, or that the generated Envoy configuration shows. */
const INTERNAL = [
  "admin/MAX_BODY_BYTES",
  "chain/MAX_GOOD_NAME",
  "chain/MAX_GOOD_NAMES",
  "cli/MAX_CONNECTIONS",
  "cli/MAX_REQUESTS",
  "cli/MAX_STACK",
  "config/MAX_AT_ONCE",
  "config/MAX_MILLISECONDS",
  "config/MAX_TOGETHER",
  "document/MAX_INLINE_CHARACTERS",
  "document/MAX_LENGTH",
  "document/MAX_VALUES",
  "kernel/wire/MAX_GROUP_DEPTH",
  "kernel/wire/MAX_KEPT_BYTES",
  "kernel/wire/MAX_NUMBER",
  "chain/MAX_SHORT_VALUE",
  "kernel/wire/MAX_SHORT_TEXT",
  "kernel/wire/MAX_VARINT",
  "observability/MAX_ID",
  "observability/MAX_RETIRED",
  "transport/http2/MAX_CONNECTIONS",
  "transport/http2/MAX_STREAMS",
];

/** Rows of the builder's limits; the compiler keeps the list whole. */
const BUILDER: Readonly<Record<keyof typeof builderLimits, string>> = {
  MANIFEST_BYTES: "Manifest",
  POLICIES: "Policies of one build",
  URI_CHARACTERS: "Characters of a `uri`",
  SEARCH_DEPTH: "Depth of folders below a `--policies-dir`",
  SEARCH_FOLDERS: "Folders looked into below all `--policies-dir`",
  POLICY_FILES: "Files of one policy",
  POLICY_DEPTH: "Depth of folders in one policy",
  POLICY_BYTES: "Size of one policy",
  TYPE_DEPTH: "Depth of parameters written as types",
  TYPE_CHARACTERS: "Characters of `params.gen.ts`",
  OUTPUT_BYTES: "Output of a program that the builder runs",
  PROBLEMS: "Problems of one report",
  INSTALL_MS: "Installing the dependencies of one policy",
  CHECK_MS: "Type check of all policies",
  BUNDLE_MS: "Bundling one policy, or compiling all",
  VERIFY_MS: "One run of the new executable",
};

/** A limit as any of the ways in which a person writes it. */
function ways(value: number): string[] {
  const plain = value.toLocaleString("en-US");
  const found = [plain, `${plain} chars`, `${plain} bytes`, `${plain} levels`];
  if (value % 1000 === 0) found.push(`${value / 1000} s`);
  if (value % KIB === 0) found.push(`${value / KIB} KiB`);
  if (value % MIB === 0) found.push(`${value / MIB} MiB`);
  return found;
}

/** Every constant of the runtime that is a number, as `room/NAME`. */
async function constants(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const file of new Bun.Glob("runtime/**/*.ts").scanSync(PROJECT)) {
    if (file.endsWith(".test.ts") || file.includes("/gen/")) continue;
    const room = file.split("/").slice(1, -1).join("/");
    for (const [, name, value = ""] of (await textOf(file)).matchAll(
      /^(?:export )?const ([A-Z][A-Z_]*)(?:: number)? = (\d[\d_]*(?: \* \d[\d_]*)*);/gm,
    )) {
      const factors = value.split(" * ").map((factor) => Number(factor.replaceAll("_", "")));
      found.set(
        `${room}/${name}`,
        factors.reduce((product, factor) => product * factor, 1),
      );
    }
  }
  return found;
}

async function checkFixed(table: Table, rows: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const known = await constants();
  for (const [row, names] of Object.entries(rows)) {
    const written = rowOf(table, row)[1]!;
    const values = names.map((name) => known.get(name));
    for (const [index, name] of names.entries())
      expect(values[index], `${name} is not a constant`).toBeNumber();
    const [only = 0] = values;
    if (values.length === 1) expect(ways(only), row).toContain(written);
    else expect(written).toBe(values.map((value) => value!.toLocaleString("en-US")).join(", "));
  }
}

test("fixed limits of the engine are those of the code", async () => {
  const table = await tableOf(README, "Limits", "Engine, fixed");
  await checkFixed(table, FIXED);
  const { bytes, depth, aliasValues } = DEFAULT_YAML_LIMITS;
  expect(ways(bytes)).toContain(rowOf(table, "A policy definition")[1]!);
  expect(ways(depth)).toContain(rowOf(table, "Nesting in any YAML")[1]!);
  expect(ways(aliasValues)).toContain(rowOf(table, "Values that YAML aliases stand for")[1]!);
  expect(table.rows).toHaveLength(Object.keys(FIXED).length + 3);
});

test("limits of the HTTP/2 server are those of the code", async () => {
  const table = await tableOf(README, "Limits", "HTTP/2 connection, fixed");
  await checkFixed(table, HTTP2);
  expect(table.rows).toHaveLength(Object.keys(HTTP2).length);
});

test("no limit of the engine is left out", async () => {
  const written = [FIXED, HTTP2].flatMap((rows) => Object.values(rows).flat());
  const named = [...(await constants()).keys()].filter((name) => name.includes("/MAX_"));
  const known = [...written.filter((name) => name.includes("/MAX_")), ...INTERNAL];
  expect(named.sort()).toEqual(known.sort());
});

test("limits of the configuration have the defaults of the code", async () => {
  const table = await tableOf(README, "Limits", "Limit");
  const quantities: [string, Bounds][] = [["extProc.messageTimeout", MESSAGE_TIMEOUT]];
  for (const [key, bounds] of Object.entries(LIMITS)) quantities.push([`limits.${key}`, bounds]);
  for (const [key, bounds] of quantities) {
    const { kind, standard } = bounds;
    const text = kind === "count" ? standard.toLocaleString("en-US") : formatQuantity(standard, bounds);
    expect([key, rowOf(table, `\`${key}\``)[1]]).toEqual([key, text]);
  }
  expect(table.rows).toHaveLength(quantities.length);
});

test("limits of metadata are those of the code", async () => {
  const table = await tableOf("docs/configuration.md", "policy-engine.yaml", "Key");
  const { maxProperties, additionalProperties } = METADATA_SCHEMA;
  const characters = additionalProperties.maxLength.toLocaleString("en-US");
  expect(rowOf(table, "`metadata`")[3]).toBe(`${maxProperties} entries, ${characters} characters each`);
});

test("limits of the builder are those of the code", async () => {
  const table = await tableOf(README, "Limits", "Builder, fixed");
  const values: Readonly<Record<string, number>> = { ...builderLimits };
  for (const [name, row] of Object.entries(BUILDER)) {
    const written = rowOf(table, row)[1]!;
    expect(ways(values[name]!), name).toContain(written);
    expect([name, written.endsWith(" s")]).toEqual([name, name.endsWith("_MS")]);
  }
  expect(table.rows).toHaveLength(Object.keys(BUILDER).length);
});
