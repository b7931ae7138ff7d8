import { readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { fromPointer } from "../document/pointer.ts";
import { compareProblems, type Problem } from "../document/problem.ts";
import { parseYaml, type YamlDocument } from "../document/yaml-document.ts";
import { ADDRESS_FORM, type Address, collide, parseAddress } from "./address.ts";
import type { DenialsConfig, EngineConfig, LimitsConfig, LogConfig, TlsConfig } from "./engine-config.ts";
import {
  type Bounds,
  engineConfigSchema,
  formatQuantity,
  LIMITS,
  MESSAGE_TIMEOUT,
} from "./engine-config-schema.ts";
import { DURATION_FORM, parseDuration, parseSize, SIZE_FORM } from "./quantity.ts";
import { decodeText, explainFault, type ReadText, refusal } from "./read-text.ts";
import { engineWarnings } from "./warnings-engine.ts";

/** An engine configuration is written by hand: a megabyte is far beyond that. */
const MAX_BYTES = 1024 * 1024;

/** What was found in a configuration file; without `config` the engine cannot start, with it there are warnings at most. */
export interface LoadedEngineConfig {
  readonly config?: EngineConfig;
  /** Beside `config`: the text, for what is found wrong later. */
  readonly document?: YamlDocument;
  /** Everything that is wrong, sorted. */
  readonly problems: Problem[];
}

/** Reads and checks `policy-engine.yaml`. Never throws, and touches nothing but this file. */
export function loadEngineConfig(path: string): LoadedEngineConfig {
  const read = readSync(path);
  if ("text" in read) return parseEngineConfig(read.text, path);
  const message = `Cannot read configuration file ${JSON.stringify(path)}: ${read.reason}`;
  return { problems: [{ severity: "error", file: path, line: 1, column: 1, pointer: "", message }] };
}

/** Checks the text of a `policy-engine.yaml`. */
export function parseEngineConfig(text: string, file: string): LoadedEngineConfig {
  const document = parseYaml(text, file, { bytes: MAX_BYTES });
  if (document.empty) {
    const hint = 'At least "routes: { path: FILE }" is needed';
    return { problems: [document.problem("", "Cannot use an empty configuration file", { hint })] };
  }
  if (document.value === undefined) return { problems: document.problems };
  const problems = [...document.problems];
  for (const { pointer, message, hint, at } of engineConfigSchema().check(document.value)) {
    problems.push(document.problem(pointer, message, { hint, at }));
  }
  const config = build(new Reader(document, problems));
  problems.sort(compareProblems);
  return problems.length === 0
    ? { config, document, problems: engineWarnings(config, document) }
    : { problems };
}

function readSync(path: string): ReadText {
  try {
    const refused = refusal(statSync(path), MAX_BYTES);
    return refused === undefined ? decodeText(readFileSync(path)) : { reason: refused };
  } catch (error) {
    return { reason: explainFault(error) };
  }
}

/** Reads values out of a document whose shape has been checked; where the shape is wrong, what it returns is void. */
class Reader {
  readonly document: YamlDocument;
  readonly #problems: Problem[];

  constructor(document: YamlDocument, problems: Problem[]) {
    this.document = document;
    this.#problems = problems;
  }

  get<T>(pointer: string, standard: T): T {
    let value = this.document.value;
    for (const step of fromPointer(pointer)) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return standard;
      value = (value as Record<string, unknown>)[step];
    }
    return value as T;
  }

  fail(pointer: string, message: string, hint?: string): void {
    this.#problems.push(this.document.problem(pointer, message, { hint }));
  }

  /** A path, relative ones from the folder of the file. */
  path(pointer: string): string | undefined {
    const path = this.get<unknown>(pointer, undefined);
    if (typeof path !== "string") return undefined;
    return isAbsolute(path) ? path : join(dirname(this.document.file), path);
  }

  address(pointer: string, standard: string): Address {
    const address = parseAddress(this.get<unknown>(pointer, standard));
    if (address !== undefined) return address;
    this.fail(pointer, `"${nameOf(pointer)}" must be an address`, `Write ${ADDRESS_FORM}`);
    return parseAddress(standard)!;
  }

  quantity(pointer: string, bounds: Bounds): number {
    const { kind, standard, least, most } = bounds;
    const raw = this.get<unknown>(pointer, undefined);
    if (raw === undefined) return standard;
    const value = PARSERS[kind](raw);
    const name = nameOf(pointer);
    if (value === undefined) {
      this.fail(pointer, `"${name}" must be a ${kind === "count" ? "whole number" : kind}`, HINTS[kind]);
    } else if (value < least || value > most) {
      this.fail(
        pointer,
        `"${name}" must be from ${formatQuantity(least, bounds)} to ${formatQuantity(most, bounds)}`,
      );
    }
    return value ?? standard;
  }
}

function nameOf(pointer: string): string {
  return fromPointer(pointer).join(".");
}

const PARSERS: Readonly<Record<Bounds["kind"], (raw: unknown) => number | undefined>> = {
  duration: parseDuration,
  size: parseSize,
  count: (raw) => (Number.isSafeInteger(raw) ? (raw as number) : undefined),
};
const HINTS: Readonly<Record<Bounds["kind"], string | undefined>> = {
  duration: `Write ${DURATION_FORM}`,
  size: `Write ${SIZE_FORM}`,
  count: undefined,
};

function build(reader: Reader): EngineConfig {
  const { file } = reader.document;
  const defaultRoute = reader.get<string | undefined>("/defaultRoute", undefined);
  if (defaultRoute !== undefined && reader.get("/onMissingRouteKey", undefined) !== undefined) {
    const hint = 'Keep "defaultRoute" alone, or "onMissingRouteKey: deny" alone';
    reader.fail("/defaultRoute", 'Cannot use "defaultRoute" beside "onMissingRouteKey"', hint);
  }
  const config: EngineConfig = {
    file,
    extProc: {
      address: reader.address("/extProc/address", "0.0.0.0:9001"),
      messageTimeoutMs: reader.quantity("/extProc/messageTimeout", MESSAGE_TIMEOUT),
      tls: readTls(reader),
    },
    health: { address: reader.address("/health/address", "0.0.0.0:9090") },
    admin: { address: reader.address("/admin/address", "127.0.0.1:9002") },
    metadata: Object.freeze({ ...reader.get<Record<string, string>>("/metadata", {}) }),
    routes: {
      path: reader.path("/routes/path") ?? "",
      watch: reader.get("/routes/watch", true),
    },
    onUnknownRoute: reader.get("/onUnknownRoute", "allow"),
    onMissingRouteKey: "deny",
    defaultRoute,
    routeKey: reader.get("/routeKey", undefined),
    limits: readLimits(reader),
    denials: {
      format: reader.get<DenialsConfig["format"]>("/denials/format", "text"),
      metadataNamespace: reader.get<string | undefined>("/denials/metadataNamespace", undefined),
    },
    log: {
      level: reader.get<LogConfig["level"]>("/log/level", "info"),
      format: reader.get<LogConfig["format"]>("/log/format", "auto"),
      sampleRate: reader.get("/log/sampleRate", 0),
    },
  };
  refuseCollisions(config, reader);
  return config;
}

function readTls(reader: Reader): TlsConfig | undefined {
  if (reader.get<unknown>("/extProc/tls", undefined) === undefined) return undefined;
  return {
    certificate: reader.path("/extProc/tls/certificate") ?? "",
    key: reader.path("/extProc/tls/key") ?? "",
    clientCertificates: reader.path("/extProc/tls/clientCertificates"),
  };
}

function readLimits(reader: Reader): LimitsConfig {
  const of = (key: keyof typeof LIMITS): number => reader.quantity(`/limits/${key}`, LIMITS[key]);
  const limits: LimitsConfig = {
    bodyBytes: of("bodyBytes"),
    bodyMemory: of("bodyMemory"),
    bodyWaitMs: of("bodyWait"),
    createTimeoutMs: of("createTimeout"),
    shutdownTimeoutMs: of("shutdownTimeout"),
    routeFileBytes: of("routeFileBytes"),
    routeFiles: of("routeFiles"),
    routes: of("routes"),
    policiesPerRoute: of("policiesPerRoute"),
    connections: of("connections"),
    streams: of("streams"),
    streamsPerSecond: of("streamsPerSecond"),
    resetsPerSecond: of("resetsPerSecond"),
  };
  if (limits.bodyMemory < limits.bodyBytes) {
    const bodyBytes = formatQuantity(limits.bodyBytes, LIMITS.bodyBytes);
    reader.fail(
      "/limits/bodyMemory",
      `"limits.bodyMemory" must not be less than "bodyBytes", which is ${bodyBytes}`,
    );
  }
  return limits;
}

/** A second server on an address would fail at start with less to go by. */
function refuseCollisions(config: EngineConfig, reader: Reader): void {
  const servers = ["extProc", "health", "admin"] as const;
  for (const [index, server] of servers.entries()) {
    for (const other of servers.slice(0, index)) {
      if (!collide(config[server].address, config[other].address)) continue;
      const message = `Cannot listen on ${JSON.stringify(config[server].address.text)}: "${other}" has this address`;
      reader.fail(`/${server}/address`, message);
    }
  }
}
