import type { TValidationError } from "typebox/error";
import { suggest } from "./nearest.ts";
import { fromPointer, toPointer } from "./pointer.ts";
import type { SchemaIssue } from "./schema-issue.ts";
import { describeError, quoteAll, subjectOf } from "./schema-message.ts";
import { isRecord, type SchemaNode, SchemaNodes } from "./schema-nodes.ts";
import { schemasAt } from "./schema-place.ts";

/**
 * Turns the validator's errors into what a person should read: one issue for each thing to mend. The validator
 * reports a failed union once for each branch, and an unknown key twice.
 */
export function toIssues(
  errors: readonly TValidationError[],
  root: SchemaNode,
  value: unknown,
): SchemaIssue[] {
  const issues = new Map<string, SchemaIssue>();
  for (const issue of collapse(errors).flatMap((error) => issuesOf(error, root, value))) {
    issues.set(`${issue.pointer}\n${issue.message}`, issue);
  }
  return [...issues.values()];
}

/** Drops errors that only repeat another, and keeps of a failed union what its most likely branch says. */
function collapse(errors: readonly TValidationError[]): TValidationError[] {
  let left = [...errors];
  // Inner unions first, so that an outer one chooses among what remains of them.
  const outer = errors.filter((error) => "anyOf|oneOf|if|propertyNames".split("|").includes(error.keyword));
  outer.sort((a, b) => b.schemaPath.length - a.schemaPath.length);
  for (const error of outer) {
    const inner = left.filter((other) => isUnder(other, error));
    const rest = left.filter((other) => !isUnder(other, error));
    if (error.keyword === "propertyNames") {
      left = rest;
    } else if (error.keyword === "if") {
      if (inner.length > 0) left = left.filter((other) => other !== error);
    } else {
      const chosen = chooseBranch(error, inner);
      left = rest.flatMap((other) => (other === error ? chosen : [other]));
    }
  }
  const parents = left.filter((error) => isUnknownKeys(error));
  return left.filter((error) => {
    if (error.keyword === "boolean") {
      return !parents.some((parent) => error.schemaPath === `${parent.schemaPath}/${parent.keyword}`);
    }
    // With a schema for additional keys, what that schema says is the better message.
    if (!isUnknownKeys(error)) return true;
    const path = `${error.schemaPath}/${error.keyword}`;
    return !left.some((other) => other.keyword !== "boolean" && other.schemaPath.startsWith(path));
  });
}

function isUnknownKeys(error: TValidationError): boolean {
  return error.keyword === "additionalProperties" || error.keyword === "unevaluatedProperties";
}

/** Whether an error comes from within the keyword that another error is about, for the same value. */
function isUnder(error: TValidationError, outer: TValidationError): boolean {
  const keyword = outer.keyword === "if" ? outer.params.failingKeyword : outer.keyword;
  if (error === outer || !`${error.schemaPath}/`.startsWith(`${outer.schemaPath}/${keyword}/`)) return false;
  return `${error.instancePath}/`.startsWith(`${outer.instancePath}/`);
}

function chooseBranch(union: TValidationError, inner: readonly TValidationError[]): TValidationError[] {
  const branches = new Map<string, TValidationError[]>();
  for (const error of inner) {
    const branch = error.schemaPath.slice(union.schemaPath.length).split("/", 3).join("/");
    branches.set(branch, [...(branches.get(branch) ?? []), error]);
  }
  const isAboutType = (error: TValidationError): boolean =>
    error.keyword === "type" && error.instancePath === union.instancePath;
  const fitting = [...branches.values()].filter((list) => !list.some(isAboutType));
  // The value has the type of one branch only: that is the one that was meant.
  if (fitting.length === 1) return fitting[0]!;
  const types = inner
    .filter(isAboutType)
    .flatMap((error) => (error.keyword === "type" ? error.params.type : []));
  if (fitting.length === 0 && types.length > 0) {
    const params = { type: [...new Set(types)] };
    return [{ ...union, keyword: "type", params } as TValidationError];
  }
  return [union];
}

function issuesOf(error: TValidationError, root: SchemaNode, value: unknown): SchemaIssue[] {
  const pointer = error.instancePath;
  const stops = schemasAt(root, error.schemaPath);
  const own = authorsMessage(error, stops);
  if (own !== undefined) return [{ pointer, message: own }];
  const subject = subjectOf(pointer);
  switch (error.keyword) {
    case "required": {
      const { requiredProperties: names } = error.params;
      const where = pointer === "" ? "" : ` in ${subject}`;
      const message = `Missing required field${names.length === 1 ? "" : "s"} ${quoteAll(names)}${where}`;
      return [{ pointer, message }];
    }
    case "additionalProperties":
      return error.params.additionalProperties.map((key) => unknownKey(pointer, key, { root, stops }));
    case "unevaluatedProperties":
      return error.params.unevaluatedProperties.map((key) =>
        unknownKey(pointer, String(key), { root, stops }),
      );
    case "propertyNames":
      return error.params.propertyNames.map((key) => {
        const message = badName(key, stops);
        return { pointer: pointer + toPointer([key]), message, at: "key" };
      });
    default:
      return [{ pointer, message: describeError(error, subject, valueAt(value, pointer)) }];
  }
}

/** What the schema's author wants to be said, by the innermost `errorMessage` about the same value. */
function authorsMessage(error: TValidationError, stops: readonly SchemaNode[][]): string | undefined {
  const nodes = stops.flat();
  if (error.keyword === "if") {
    const branch = nodes.map((node) => node[error.params.failingKeyword]).find(isRecord);
    if (branch !== undefined) nodes.unshift(branch);
  }
  const message = nodes.find((node) => typeof node.errorMessage === "string")?.errorMessage;
  return typeof message === "string" ? message : undefined;
}

function unknownKey(
  pointer: string,
  key: string,
  { root, stops }: { root: SchemaNode; stops: readonly SchemaNode[][] },
): SchemaIssue {
  const nodes = new SchemaNodes(root, "possible");
  const known = new Set<string>();
  for (const node of stops.flat().flatMap((stop) => nodes.inPlace(stop))) {
    if (isRecord(node.properties)) for (const name of Object.keys(node.properties)) known.add(name);
  }
  const where = pointer === "" ? "" : ` in ${subjectOf(pointer)}`;
  const message = `Unknown key ${JSON.stringify(key)}${where}`;
  const hint = suggest(key, [...known].sort());
  return { pointer: pointer + toPointer([key]), message, hint, at: "key" };
}

function badName(key: string, stops: readonly SchemaNode[][]): string {
  const names = stops.flat().map((node) => node.propertyNames);
  const rule = names.find(isRecord);
  if (typeof rule?.errorMessage === "string") return rule.errorMessage;
  const needed = typeof rule?.pattern === "string" ? `: it must match the pattern ${rule.pattern}` : "";
  return `Cannot use the key ${JSON.stringify(key)} here${needed}`;
}

function valueAt(value: unknown, pointer: string): unknown {
  let found = value;
  for (const step of fromPointer(pointer)) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, step)) return undefined;
    found = (found as Record<string, unknown>)[step];
  }
  return found;
}
