// A part of JSON Schema 2020-12, as checks that are made once. Keywords that are not among them are refused: a
// validator that ignores what it does not know lets through what it was told to stop.
import { compilePattern } from "./pattern.ts";
import type { Place, Report } from "./report.ts";
import { type Check, isEqual, isObject, type JsonObject, type Refuse, typeOf } from "./schema-node.ts";

/** Deeper ones are a mistake. */
const MAX_DEPTH = 32;
const ANNOTATIONS = ["$schema", "$comment", "title", "description", "default", "examples", "deprecated"];
const TYPES = ["null", "array", "object", "string", "boolean", "number", "integer"];

/** Makes the check that one keyword stands for; undefined when its value is not what it must be. */
type Keyword = (value: unknown, context: Context) => Check | undefined;

interface Context {
  readonly schema: JsonObject;
  /** Compiles a schema inside of this one. */
  inner(value: unknown, ...path: readonly (string | number)[]): Check;
  refuse(message: string): void;
}

/** Compiles a schema. The check is to be used only if nothing was refused. */
export function compileSchema(schema: unknown, refuse: Refuse): Check {
  return compileAt(schema, { pointer: "", depth: 0, refuse });
}

function compileAt(schema: unknown, at: { pointer: string; depth: number; refuse: Refuse }): Check {
  const { pointer, depth, refuse } = at;
  if (schema === true) return () => {};
  if (schema === false) return (_value, place, report) => report.add(place, "must not be there");
  if (!isObject(schema)) refuse(pointer, "is not a schema: an object, true or false is needed");
  else if (depth > MAX_DEPTH) refuse(pointer, `is deeper than ${MAX_DEPTH} levels`);
  if (!isObject(schema) || depth > MAX_DEPTH) return () => {};
  const checks: Check[] = [];
  for (const [name, value] of Object.entries(schema)) {
    if (ANNOTATIONS.includes(name)) continue;
    const here = `${pointer}/${name}`;
    const keyword = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name] : undefined;
    if (keyword === undefined) {
      refuse(here, "is not supported");
      continue;
    }
    let refused = false;
    const check = keyword(value, {
      schema,
      inner: (inner, ...path) =>
        compileAt(inner, { pointer: [here, ...path].join("/"), depth: depth + 1, refuse }),
      refuse: (message) => {
        refused = true;
        refuse(here, message);
      },
    });
    if (check !== undefined) checks.push(check);
    else if (!refused) refuse(here, "has a value that the keyword does not take");
  }
  return (value, place, report) => {
    report.spend(1);
    for (const check of checks) if (!report.full) check(value, place, report);
  };
}

const KEYWORDS: Readonly<Record<string, Keyword>> = {
  type(value) {
    const types: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (types.length === 0 || !types.every((type) => TYPES.includes(type as string))) return undefined;
    const message = `must be ${types.join(" or ")}`;
    return (found, place, report) => {
      const fits = types.includes(typeOf(found)) || (types.includes("integer") && Number.isInteger(found));
      if (!fits) report.add(place, message);
    };
  },
  enum(value) {
    if (!Array.isArray(value) || value.length === 0) return undefined;
    return (found, place, report) => {
      report.spend(value.length);
      if (!value.some((each) => isEqual(each, found))) report.add(place, "must be one of the values allowed");
    };
  },
  const: (value) => (found, place, report) => {
    if (!isEqual(value, found)) report.add(place, "must be the value allowed");
  },
  required(value) {
    if (!isNames(value)) return undefined;
    return (found, place, report) => {
      if (!isObject(found)) return;
      report.spend(value.length);
      for (const name of value) {
        if (!Object.hasOwn(found, name)) report.add({ parent: place, key: name }, "is missing");
      }
    };
  },
  properties(value, { inner }) {
    if (!isObject(value)) return undefined;
    const checks = Object.entries(value).map(([name, schema]) => [name, inner(schema, name)] as const);
    return (found, place, report) => {
      if (!isObject(found)) return;
      report.spend(checks.length);
      for (const [name, check] of checks) {
        if (Object.hasOwn(found, name)) check(found[name], { parent: place, key: name }, report);
      }
    };
  },
  additionalProperties(value, { schema, inner }) {
    const check = inner(value);
    const known = new Set(isObject(schema.properties) ? Object.keys(schema.properties) : []);
    return (found, place, report) => {
      if (!isObject(found)) return;
      for (const [name, each] of Object.entries(found)) {
        report.spend(1);
        if (!known.has(name) && !report.full) check(each, { parent: place, key: name }, report);
      }
    };
  },
  items(value, { inner }) {
    const check = inner(value);
    return (found, place, report) => {
      if (!Array.isArray(found)) return;
      for (const [index, item] of found.entries()) {
        if (report.full) return;
        check(item, { parent: place, key: index }, report);
      }
    };
  },
  pattern(value, { refuse }) {
    if (typeof value !== "string") return undefined;
    try {
      const pattern = compilePattern(value);
      return (found, place, report) => {
        if (typeof found !== "string") return;
        if (!pattern(found, (work) => report.spend(work))) report.add(place, "does not match the pattern");
      };
    } catch (error) {
      refuse(error instanceof Error ? error.message : "is not a pattern");
      return undefined;
    }
  },
  allOf(value, { inner }) {
    const checks = schemas(value, inner);
    return checks && ((found, place, report) => checks.forEach((check) => void check(found, place, report)));
  },
  anyOf(value, { inner }) {
    const checks = schemas(value, inner);
    if (checks === undefined) return undefined;
    return (found, place, report) => {
      if (countFitting(checks, { found, place, report }, 1) === 0)
        report.add(place, "must fit one of the forms allowed");
    };
  },
  oneOf(value, { inner }) {
    const checks = schemas(value, inner);
    if (checks === undefined) return undefined;
    return (found, place, report) => {
      if (countFitting(checks, { found, place, report }, 2) !== 1)
        report.add(place, "must fit exactly one of the forms allowed");
    };
  },
  not(value, { inner }) {
    const check = inner(value);
    return (found, place, report) => {
      if (countFitting([check], { found, place, report }, 1) === 1)
        report.add(place, "has a form that is not allowed");
    };
  },
  minLength: lengthOf("string", "at least", (length, limit) => length >= limit),
  maxLength: lengthOf("string", "at most", (length, limit) => length <= limit),
  minItems: lengthOf("array", "at least", (length, limit) => length >= limit),
  maxItems: lengthOf("array", "at most", (length, limit) => length <= limit),
  minProperties: lengthOf("object", "at least", (length, limit) => length >= limit),
  maxProperties: lengthOf("object", "at most", (length, limit) => length <= limit),
  minimum: bound("at least", (value, limit) => value >= limit),
  maximum: bound("at most", (value, limit) => value <= limit),
  exclusiveMinimum: bound("more than", (value, limit) => value > limit),
  exclusiveMaximum: bound("less than", (value, limit) => value < limit),
};

/** The keywords that are supported, for documents and tests. */
export const SUPPORTED: readonly string[] = [...Object.keys(KEYWORDS), ...ANNOTATIONS];

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

function schemas(value: unknown, inner: Context["inner"]): readonly Check[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  return value.map((schema, index) => inner(schema, index));
}

/** How many checks find nothing; no more are tried when there are `enough`. */
function countFitting(
  checks: readonly Check[],
  { found, place, report }: { found: unknown; place: Place | undefined; report: Report },
  enough: number,
): number {
  let fitting = 0;
  for (const check of checks) {
    if (fitting < enough && report.passes((trial) => check(found, place, trial))) fitting++;
  }
  return fitting;
}

const UNITS = { string: "character", array: "item", object: "member" } as const;

function lengthOf(
  type: keyof typeof UNITS,
  words: string,
  fits: (length: number, limit: number) => boolean,
): Keyword {
  return (limit) => {
    if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 0) return undefined;
    const message = `must have ${words} ${limit} ${UNITS[type]}${limit === 1 ? "" : "s"}`;
    return (found, place, report) => {
      if (typeOf(found) !== type) return;
      const length = sizeOf(found as string | readonly unknown[] | JsonObject, report);
      if (!fits(length, limit)) report.add(place, message);
    };
  };
}

/** Of a text in characters, not in halves of them. */
function sizeOf(value: string | readonly unknown[] | JsonObject, report: Report): number {
  if (typeof value !== "string") return Array.isArray(value) ? value.length : Object.keys(value).length;
  report.spend(value.length >> 6);
  let halves = 0;
  for (let index = 0; index < value.length; index++) if (value.codePointAt(index)! > 0xffff) halves++;
  return value.length - halves;
}

function bound(words: string, fits: (value: number, limit: number) => boolean): Keyword {
  return (limit) => {
    if (typeof limit !== "number" || !Number.isFinite(limit)) return undefined;
    return (found, place, report) => {
      if (typeof found === "number" && !fits(found, limit)) report.add(place, `must be ${words} ${limit}`);
    };
  };
}
