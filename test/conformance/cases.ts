// The conformance cases of CEL, as data: which there are, and what each of them expects.
import { tests } from "@bufbuild/cel-spec/testdata/conformance.js";
import { UnsignedInt } from "@marcbachmann/cel-js/evaluator";

/** A value as the cases write it, by the name of its type. */
interface Written {
  readonly [type: string]: unknown;
}

/** What is looked at of a case. */
interface Original {
  readonly name: string;
  readonly expr: string;
  readonly value?: Written;
  readonly evalError?: unknown;
  readonly bindings?: Readonly<Record<string, { readonly value?: Written }>>;
  readonly disableMacros?: boolean;
  readonly container?: string;
  readonly checkOnly?: boolean;
  readonly typedResult?: { readonly result?: Written };
}

interface Suite {
  readonly name: string;
  readonly suites?: readonly Suite[];
  readonly tests?: readonly { readonly original: Original }[];
}

/** A case of the conformance suite. */
export interface Case {
  /** Of its file, such as `lists`. */
  readonly suite: string;
  /** `suite/section/name`, made unique by `#2` and so on where it is not. */
  readonly id: string;
  readonly source: string;
  readonly bindings: ReadonlyMap<string, unknown>;
  /** Undefined where an error is expected. */
  readonly expected: { readonly value: unknown } | undefined;
  /** Why the case cannot be put to an engine without protocol buffers; undefined where it can. */
  readonly foreign: string | undefined;
}

/** A value that has no counterpart here, such as a message. */
export const FOREIGN: unique symbol = Symbol("foreign");

export function allCases(): Case[] {
  const seen = new Map<string, number>();
  return casesOf(tests as Suite, []).map((found) => {
    const times = (seen.get(found.id) ?? 0) + 1;
    seen.set(found.id, times);
    return times === 1 ? found : { ...found, id: `${found.id}#${times}` };
  });
}

function casesOf(suite: Suite, path: readonly string[]): Case[] {
  const inner = (suite.suites ?? []).flatMap((child) => casesOf(child, [...path, child.name]));
  return [...(suite.tests ?? []).map(({ original }) => toCase(original, path)), ...inner];
}

function toCase(original: Original, path: readonly string[]): Case {
  const { name, expr, bindings = {}, value, evalError, typedResult } = original;
  const bound = Object.entries(bindings).map(([key, given]): [string, unknown] => [
    key,
    toValue(given.value),
  ]);
  const written = value ?? typedResult?.result ?? { boolValue: true };
  return {
    suite: path[0] ?? "",
    id: [...path, name].join("/"),
    source: expr,
    bindings: new Map(bound),
    expected: evalError === undefined ? { value: toValue(written) } : undefined,
    foreign: foreignIn(original, bound),
  };
}

function foreignIn(original: Original, bound: readonly (readonly [string, unknown])[]): string | undefined {
  if (original.container !== undefined && original.container !== "") return "a container of names";
  if (original.disableMacros === true) return "without macros";
  if (original.checkOnly === true) return "only the checked tree";
  if (bound.some(([name]) => name.includes("."))) return "a variable with a dotted name";
  if ([original.value, ...bound.map(([, value]) => value)].some((value) => hasForeign(value)))
    return "a message";
  return undefined;
}

function hasForeign(value: unknown): boolean {
  if (value === FOREIGN) return true;
  if (Array.isArray(value)) return value.some(hasForeign);
  if (value instanceof Map) return [...value].flat().some(hasForeign);
  return typeof value === "object" && value !== null && "objectValue" in value;
}

function toValue(written: Written | undefined): unknown {
  const [type, value] = Object.entries(written ?? {})[0] ?? [];
  switch (type) {
    case "nullValue":
      return null;
    case "boolValue":
    case "stringValue":
      return value;
    case "int64Value":
      return BigInt(value as string);
    case "uint64Value":
      return new UnsignedInt(BigInt(value as string));
    case "doubleValue":
      return Number(value);
    case "bytesValue":
      return new Uint8Array(Buffer.from(value as string, "base64"));
    case "listValue":
      return ((value as { values?: Written[] }).values ?? []).map(toValue);
    case "mapValue":
      return new Map(
        ((value as { entries?: { key: Written; value: Written }[] }).entries ?? []).map((entry) => [
          toValue(entry.key),
          toValue(entry.value),
        ]),
      );
    case "typeValue":
      return { type: value };
    default:
      return FOREIGN;
  }
}
