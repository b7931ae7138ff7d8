// What the engine's own environment makes of a case: compiled and bounded as a condition is.
import { compileProgram } from "../../runtime/cel/compile-program.ts";
import { exchange } from "../../runtime/cel/condition-fixtures.ts";
import { isDictionary, isList, keysOf, kindOf, lookUp } from "../../runtime/cel/values.ts";
import type { Case } from "./cases.ts";

/** Undefined where a case passes, or how it does not. */
export function failureOf({ source, bindings, expected }: Case): string | undefined {
  // The variables of a case become those of a macro: the engine has its own and no others.
  const bound = [...bindings.keys()].reduce(
    (inner, name) => `cel.bind(${name}, metadata.${name}, ${inner})`,
    source,
  );
  const { program, problems } = compileProgram(bound, "expression");
  if (program === undefined)
    return expected === undefined ? undefined : `does not compile: ${problems.join("; ")}`;
  let value: unknown;
  try {
    value = program.evaluate(exchange({ metadata: Object.fromEntries(bindings) }), (found) => found);
  } catch (error) {
    return expected === undefined ? undefined : String(error);
  }
  if (expected === undefined) return `no error but ${show(value)}`;
  return same(value, expected.value) ? undefined : `${show(value)}, not ${show(expected.value)}`;
}

/** Of the same type and value; zeros have a sign, and what is not a number is the same as itself. */
function same(value: unknown, wanted: unknown): boolean {
  if (typeof wanted === "object" && wanted !== null && "type" in wanted) {
    return kindOf(value) === "type" && typeName(value) === wanted.type;
  }
  if (kindOf(value) !== kindOf(wanted)) return false;
  if (isList(value) && isList(wanted)) {
    const others = [...wanted];
    const items = [...value];
    return items.length === others.length && items.every((item, index) => same(item, others[index]));
  }
  if (isDictionary(value) && isDictionary(wanted)) {
    return (
      keysOf(value).length === keysOf(wanted).length &&
      keysOf(value).every((key) => same(lookUp(value, key), lookUp(wanted, key)))
    );
  }
  return Object.is(value, wanted) || Bun.deepEquals(value, wanted, true);
}

function typeName(type: unknown): string {
  const { name } = type as { name: string };
  return name === "null" ? "null_type" : name;
}

function show(value: unknown): string {
  return Bun.inspect(value).replaceAll(/\s+/g, " ").slice(0, 120);
}
