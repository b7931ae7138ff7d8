import { type CompiledSchema, compileSchema } from "../document/schema.ts";
import { LOG_LEVELS } from "../observability/log.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.ts";

/** Longest name of a route; Envoy's own are far shorter. */
export const MAX_ROUTE_NAME = 1_024;

/** A bounded quantity: its default and its bounds in milliseconds, bytes or pieces. */
export interface Bounds {
  readonly kind: "duration" | "size" | "count";
  readonly standard: number;
  readonly least: number;
  readonly most: number;
}

/** Bounds of `extProc.messageTimeout`. */
export const MESSAGE_TIMEOUT = duration("1s", "10ms", "1h");

/** Bounds of everything under `limits`, by key. */
export const LIMITS = {
  bodyBytes: size("10MiB", "1KiB", "1GiB"),
  bodyMemory: size("256MiB", "1KiB", "64GiB"),
  bodyWait: duration("30s", "10ms", "1h"),
  createTimeout: duration("10s", "10ms", "10m"),
  shutdownTimeout: duration("20s", "0s", "1h"),
  routeFileBytes: size("16MiB", "1KiB", "256MiB"),
  routeFiles: count(256, 1, 10_000),
  routes: count(10_000, 1, 1_000_000),
  policiesPerRoute: count(100, 1, 1_000),
  connections: count(10_000, 1, 100_000),
  streams: count(100_000, 100, 1_000_000),
  streamsPerSecond: count(0, 0, 10_000_000),
  resetsPerSecond: count(0, 0, 10_000_000),
} as const satisfies Record<string, Bounds>;

/** A quantity as its bounds are written. */
export function formatQuantity(value: number, { kind }: Bounds): string {
  if (kind === "duration") return formatDuration(value);
  return kind === "size" ? formatSize(value) : String(value);
}

/** Operator's facts, of the engine or of a route. */
export const METADATA_SCHEMA = {
  type: "object",
  maxProperties: 64,
  additionalProperties: { type: "string", maxLength: 4_096 },
} as const;

/** The shape of the file. Values with a notation of their own (`{}` here) are checked when they are read. */
export function engineConfigSchema(): CompiledSchema {
  const name = { type: "string", minLength: 1, maxLength: 256 };
  const path = { type: "string", minLength: 1 };
  const limits = Object.fromEntries(Object.keys(LIMITS).map((key) => [key, {}]));
  const { schema, problems } = compileSchema(
    closed(
      {
        extProc: closed({
          address: {},
          messageTimeout: {},
          tls: closed({ certificate: path, key: path, clientCertificates: path }, ["certificate", "key"]),
        }),
        health: closed({ address: {} }),
        admin: closed({ address: {} }),
        metadata: METADATA_SCHEMA,
        routes: closed({ path, watch: { type: "boolean" } }, ["path"]),
        onUnknownRoute: { enum: ["allow", "deny"] },
        onMissingRouteKey: { enum: ["deny"] },
        defaultRoute: { type: "string", minLength: 1, maxLength: MAX_ROUTE_NAME },
        routeKey: closed({ metadataNamespace: name, metadataKey: name }, [
          "metadataNamespace",
          "metadataKey",
        ]),
        limits: closed(limits),
        denials: closed({ format: { enum: ["text", "problem"] }, metadataNamespace: name }),
        log: closed({
          level: { enum: LOG_LEVELS },
          format: { enum: ["auto", "json", "text"] },
          sampleRate: { type: "number", minimum: 0, maximum: 1 },
        }),
      },
      ["routes"],
    ),
  );
  if (schema === undefined)
    throw new TypeError(`Cannot compile the configuration's schema: ${problems.join("; ")}`);
  return schema;
}

function closed(properties: Record<string, unknown>, required: string[] = []): Record<string, unknown> {
  return { type: "object", additionalProperties: false, properties, required };
}

function duration(standard: string, least: string, most: string): Bounds {
  return bounds("duration", [standard, least, most].map(parseDuration));
}

function size(standard: string, least: string, most: string): Bounds {
  return bounds("size", [standard, least, most].map(parseSize));
}

function count(standard: number, least: number, most: number): Bounds {
  return { kind: "count", standard, least, most };
}

function bounds(kind: Bounds["kind"], [standard, least, most]: (number | undefined)[]): Bounds {
  return { kind, standard: standard!, least: least!, most: most! };
}
