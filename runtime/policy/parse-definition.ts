import { SDK_VERSION } from "@policy-engine/sdk";
import { compareProblems, type Problem } from "../document/problem.ts";
import { compileSchema, type SchemaIssue } from "../document/schema.ts";
import { isRecord } from "../document/schema-nodes.ts";
import { schemaProblems } from "../document/schema-problems.ts";
import { parseYaml, type YamlDocument } from "../document/yaml-document.ts";
import type { BodyRequirement, JsonSchema, PolicyDefinition } from "./definition.ts";
import { fromTypedList } from "./typed-parameters.ts";
import { VERSION_PATTERN } from "./version.ts";

const BODY_NEEDS = ["none", "buffered", "raw", "streamed", true, false];

/** The schema of a definition file; `parameters` has rules of its own. */
const DEFINITION_SCHEMA: JsonSchema = {
  type: "object",
  additionalProperties: false,
  required: ["name", "version"],
  properties: {
    name: {
      type: "string",
      pattern: "^[A-Za-z][A-Za-z0-9-]{0,62}$",
      errorMessage: '"name" must be a letter, then at most 62 letters, digits or "-"',
    },
    version: {
      type: "string",
      pattern: VERSION_PATTERN,
      maxLength: 128,
      errorMessage: '"version" must be "v" and a semantic version such as "v1.0.0"',
    },
    description: { type: "string", default: "" },
    sdk: { type: "string", minLength: 1 },
    supportsRequestPhase: { type: "boolean" },
    supportsResponsePhase: { type: "boolean" },
    requiresRequestBody: { enum: BODY_NEEDS, default: "none" },
    requiresResponseBody: { enum: BODY_NEEDS, default: "none" },
    failureMode: { enum: ["closed", "open"], default: "closed" },
    // The default depends on "authentication".
    conditionError: { enum: ["skip", "deny"] },
    appliesToDenials: { type: "boolean", default: false },
    authentication: { type: "boolean", default: false },
    parameters: {},
  },
};

/** A policy without parameters takes none. */
const NO_PARAMETERS: JsonSchema = { type: "object", additionalProperties: false, properties: {} };

/** All problems at once, sorted; the definition is there only if none of them is an error. */
export interface CheckedDefinition {
  readonly definition?: PolicyDefinition;
  readonly problems: Problem[];
}

/** Reads a `policy-definition.yaml`. */
export function parseDefinition(text: string, file: string): CheckedDefinition {
  return checkDefinition(parseYaml(text, file));
}

/** Checks a definition that has been read. */
export function checkDefinition(document: YamlDocument): CheckedDefinition {
  if (document.empty) {
    const message = 'Cannot use an empty policy definition: "name" and "version" are needed';
    return { problems: [document.problem("", message)] };
  }
  if (document.value === undefined) return { problems: document.problems };
  const schema = compileSchema(DEFINITION_SCHEMA).schema!;
  const value = schema.withDefaults(document.value);
  const issues = schema.check(value);
  let parameters = NO_PARAMETERS;
  if (isRecord(value)) {
    issues.push(...crossIssues(value));
    const converted = toSchema(value.parameters);
    issues.push(...converted.issues);
    parameters = converted.schema;
  }
  const problems = [...document.problems, ...issues.map((issue) => toProblem(document, issue))];
  problems.sort(compareProblems);
  if (problems.length > 0) return { problems };
  return { definition: toDefinition(value as Record<string, unknown>, parameters), problems };
}

function crossIssues(value: JsonSchema): SchemaIssue[] {
  const issues: SchemaIssue[] = [];
  if (value.supportsRequestPhase === false && value.supportsResponsePhase === false) {
    const message = "A policy must support a phase: both are switched off";
    issues.push({ pointer: "/supportsRequestPhase", message });
  }
  for (const [need, phase] of [
    ["requiresRequestBody", "supportsRequestPhase"],
    ["requiresResponseBody", "supportsResponsePhase"],
  ] as const) {
    if (value[need] === "streamed") {
      const message = `Cannot use "${need}: streamed": streamed bodies are not supported by this engine`;
      issues.push({ pointer: `/${need}`, message, hint: 'Use "buffered" or "raw"' });
    }
    if (value[phase] === false && value[need] !== "none" && value[need] !== false) {
      const message = `Cannot use "${need}" with "${phase}: false": that phase is switched off`;
      issues.push({ pointer: `/${need}`, message });
    }
  }
  if (value.appliesToDenials === true && value.supportsResponsePhase === false) {
    const message =
      'Cannot use "appliesToDenials" with "supportsResponsePhase: false": denials are responses';
    issues.push({ pointer: "/appliesToDenials", message });
  }
  if (value.authentication === true && value.supportsRequestPhase === false) {
    const message =
      'Cannot use "authentication" with "supportsRequestPhase: false": who may pass is decided in the request';
    issues.push({ pointer: "/authentication", message });
  }
  issues.push(...sdkIssues(value.sdk));
  return issues;
}

function sdkIssues(range: unknown): SchemaIssue[] {
  if (typeof range !== "string" || range === "") return [];
  const issue = (message: string): SchemaIssue[] => [{ pointer: "/sdk", message }];
  // Bun.semver takes nonsense for a range that nothing satisfies.
  if (!/^[\d\sxX*.^~<>=|&v+A-Za-z-]{1,128}$/.test(range) || !/[\dxX*]/.test(range)) {
    return issue('"sdk" must be a range of versions such as "^1.0.0"');
  }
  if (Bun.semver.satisfies(SDK_VERSION, range)) return [];
  return issue(
    `Cannot use a policy written for SDK ${range}: this engine has SDK ${SDK_VERSION}, which must be in its range`,
  );
}

/** The parameters as an object schema, from either of the two forms. Pointers are those of the file. */
function toSchema(parameters: unknown): { schema: JsonSchema; issues: SchemaIssue[] } {
  if (parameters === undefined || parameters === null) return { schema: NO_PARAMETERS, issues: [] };
  const inFile = (issue: SchemaIssue): SchemaIssue => ({ ...issue, pointer: `/parameters${issue.pointer}` });
  if (Array.isArray(parameters)) {
    const { schema, issues } = fromTypedList(parameters);
    if (issues.length > 0) return { schema, issues: issues.map(inFile) };
    const found = [...schemaProblems(schema), ...defaultIssues(schema)];
    return { schema, issues: found.map((issue) => inFile(inList(parameters, issue))) };
  }
  if (!isRecord(parameters)) {
    const message = '"parameters" must be a JSON Schema of the type object, or a list of parameters';
    return { schema: NO_PARAMETERS, issues: [{ pointer: "/parameters", message }] };
  }
  const issues = schemaProblems(parameters);
  if (issues.length === 0) issues.push(...defaultIssues(parameters));
  if (parameters.type !== "object") {
    const message = '"parameters" must have "type: object", because parameters are given by name';
    issues.push({ pointer: "type" in parameters ? "/type" : "", message });
  }
  return { schema: parameters, issues: issues.map(inFile) };
}

/** The place in the list of an issue with the schema made from it: that of its parameter. */
function inList(list: readonly unknown[], issue: SchemaIssue): SchemaIssue {
  const name = /^\/properties\/([^/]*)/.exec(issue.pointer)?.[1]?.replaceAll("~1", "/").replaceAll("~0", "~");
  const index = list.findIndex((item) => isRecord(item) && item.name === name);
  return { ...issue, pointer: index < 0 ? "" : `/${index}`, at: "value" };
}

/** Defaults of parameters that the schema itself would refuse; a route could not be configured with them. */
function defaultIssues(schema: JsonSchema): SchemaIssue[] {
  const { properties } = schema;
  if (!isRecord(properties)) return [];
  const compiled = compileSchema({ ...schema, required: [] }).schema;
  if (compiled === undefined) return [];
  const issues: SchemaIssue[] = [];
  for (const [name, property] of Object.entries(properties)) {
    if (!isRecord(property) || property.default === undefined) continue;
    const pointer = `/properties/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const given = compiled.withDefaults(Object.fromEntries([[name, property.default]]));
    for (const { pointer: place, message } of compiled.check(given)) {
      if (!`${place}/`.startsWith(`${pointer.slice("/properties".length)}/`)) continue;
      issues.push({ pointer: `${pointer}/default`, message: `Cannot use this default: ${message}` });
    }
  }
  return issues;
}

function toProblem(document: YamlDocument, { pointer, message, hint, at }: SchemaIssue): Problem {
  return document.problem(pointer, message, { hint, at });
}

function toDefinition(value: Record<string, unknown>, parameters: JsonSchema): PolicyDefinition {
  const authentication = value.authentication as boolean;
  return {
    name: value.name as string,
    version: value.version as string,
    description: value.description as string,
    sdk: value.sdk as string | undefined,
    supportsRequestPhase: value.supportsRequestPhase as boolean | undefined,
    supportsResponsePhase: value.supportsResponsePhase as boolean | undefined,
    requiresRequestBody: toBodyRequirement(value.requiresRequestBody),
    requiresResponseBody: toBodyRequirement(value.requiresResponseBody),
    failureMode: value.failureMode as "closed" | "open",
    conditionError: (value.conditionError ?? (authentication ? "deny" : "skip")) as "skip" | "deny",
    appliesToDenials: value.appliesToDenials as boolean,
    authentication,
    parameters,
  };
}

function toBodyRequirement(value: unknown): BodyRequirement {
  if (value === true) return "buffered";
  return value === false ? "none" : (value as BodyRequirement);
}
