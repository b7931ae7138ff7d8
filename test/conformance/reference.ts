// A second evaluator of CEL, and values of both in one form that can be compared.
import {
  CelScalar,
  celEnv,
  celFunc,
  isCelError,
  isCelList,
  isCelMap,
  isCelType,
  isCelUint,
  parse,
  plan,
} from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import type { ConditionInput } from "../../runtime/cel/compile-condition.ts";
import { compileProgram } from "../../runtime/cel/compile-program.ts";
import { isDictionary, isList, keysOf, kindOf, lookUp, UnsignedInt } from "../../runtime/cel/values.ts";
import { Variables } from "../../runtime/cel/variables.ts";

/** What an expression came to: `error`, or the value with the name of its type. */
export type Outcome = string;

/** What the second evaluator does not do as the specification says; so it must not be compared with. */
const MENDED = [
  // It takes the empty text for 0, and hexadecimal numbers.
  celFunc("int", [CelScalar.STRING], CelScalar.INT, (text) => {
    const value = /^[+-]?\d+$/.test(text) ? BigInt(text.replace("+", "")) : undefined;
    if (value === undefined || BigInt.asIntN(64, value) !== value) throw new Error("no int");
    return value;
  }),
];

const environment = celEnv({ funcs: [...strings, ...MENDED] });

/** Of the engine; undefined where it does not compile. */
export function ourOutcome(source: string, input: ConditionInput): Outcome | undefined {
  const { program } = compileProgram(source, "expression");
  if (program === undefined) return undefined;
  try {
    return program.evaluate(input, write);
  } catch {
    return "error";
  }
}

export function theirOutcome(source: string, input: ConditionInput): Outcome {
  const result = plan(environment, parse(source))(bindingsOf(input) as never);
  return isCelError(result) ? "error" : write(result);
}

/** The variables of an exchange as plain maps. */
function bindingsOf(input: ConditionInput): Readonly<Record<string, unknown>> {
  const variables = new Variables(input);
  const { request, response, client, auth } = variables;
  return {
    request: new Map<string, unknown>([
      ["path", request.path],
      ["method", request.method],
      ["host", request.host],
      ["rawQuery", request.rawQuery],
      ["headers", new Map(request.headers)],
      ["query", new Map(request.query)],
      ["original", new Map([["method", request.original.method]])],
    ]),
    response: new Map<string, unknown>([
      ["status", response.status],
      ["headers", new Map(response.headers)],
      ["body", response.body],
    ]),
    client: new Map<string, unknown>(Object.entries({ address: client.address, port: client.port })),
    auth: new Map<string, unknown>([
      ["subject", auth.subject],
      ["scheme", auth.scheme],
      ["claims", toMaps(auth.claims)],
    ]),
    metadata: toMaps(variables.metadata),
    route: variables.route,
  };
}

function toMaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toMaps);
  if (!isDictionary(value)) return value;
  return new Map(keysOf(value).map((key) => [key, toMaps(lookUp(value, key))]));
}

function write(value: unknown): Outcome {
  if (isCelUint(value) || value instanceof UnsignedInt) return `uint ${value.value}`;
  if (isCelList(value) || isList(value)) return `[${[...value].map(write).join(", ")}]`;
  if (isCelMap(value)) return writeEntries([...value]);
  if (isCelType(value)) return `type ${value.name}`;
  if (isDictionary(value)) return writeEntries(keysOf(value).map((key) => [key, lookUp(value, key)]));
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (typeof value === "number") return `double ${Object.is(value, -0) ? "-0" : value}`;
  return `${kindOf(value)} ${typeof value === "string" ? JSON.stringify(value) : String(value)}`;
}

function writeEntries(entries: readonly (readonly [unknown, unknown])[]): string {
  return `{${entries
    .map(([key, value]) => `${write(key)}: ${write(value)}`)
    .toSorted()
    .join(", ")}}`;
}
