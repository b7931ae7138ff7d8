import { toPointer } from "../document/pointer.ts";
import { compileSchema, type SchemaIssue } from "../document/schema.ts";
import { isRecord, SchemaNodes, setOwn } from "../document/schema-nodes.ts";
import { REDACTED } from "../observability/scrub.ts";
import type { JsonSchema } from "./definition.ts";
import type { SecretReader, SecretReference } from "./secret-reader.ts";

export {
  createSecretReader,
  type SecretReader,
  type SecretReaderOptions,
  type SecretReference,
} from "./secret-reader.ts";

export type CheckedParameters =
  | { readonly params: unknown; readonly issues: readonly [] }
  | { readonly params: undefined; readonly issues: readonly SchemaIssue[] };

/** The parameters of one policy version. */
export interface Parameters {
  /**
   * Resolves secrets, fills in defaults, checks against the schema and freezes deeply. Parameters that are not
   * given (undefined or null) are an empty map. Issues never quote a value.
   */
  check(raw: unknown, secrets: SecretReader): CheckedParameters;
  /**
   * A copy for people to read with `[redacted]` in the place of every secret, be the rest valid or not. With a
   * schema that has secrets, what it does not describe is redacted too: it may be a secret with a mistyped key.
   */
  redact(raw: unknown): unknown;
  /** Every secret in checked parameters, to keep them out of messages. */
  secretsIn(params: unknown): string[];
}

/** Makes the checker of a policy's parameters; problems are those of the schema. */
export function compileParameters(schema: JsonSchema): { parameters?: Parameters; problems: string[] } {
  const { schema: compiled, problems } = compileSchema(schema);
  if (compiled === undefined) return { problems };
  const walk = createSecretWalk(schema);
  return {
    problems,
    parameters: {
      check(raw, secrets) {
        const issues: SchemaIssue[] = [];
        const resolved = walk(raw ?? {}, {
          secret: (value, pointer) => resolveSecret(value, { pointer, secrets, issues }),
          unknown: (value) => value,
        });
        // A secret that could not be read would only be reported again, as not being a string.
        const unread = new Set(issues.map(({ pointer }) => pointer));
        const params = compiled.withDefaults(resolved);
        issues.push(...compiled.check(params).filter(({ pointer }) => !unread.has(pointer)));
        return issues.length > 0 ? { params: undefined, issues } : { params: freeze(params), issues: [] };
      },
      redact(raw) {
        return walk(raw ?? {}, { secret: () => REDACTED, unknown: () => REDACTED });
      },
      secretsIn(params) {
        const found = new Set<string>();
        const note = (value: unknown): unknown => {
          if (typeof value === "string" && value !== "") found.add(value);
          return value;
        };
        walk(params, { secret: note, unknown: (value) => value });
        return [...found];
      },
    },
  };
}

interface Visitor {
  secret(value: unknown, pointer: string): unknown;
  /** A value that the schema does not describe; called only if the schema has secrets. */
  unknown(value: unknown): unknown;
}

/** A function that copies a value and lets a visitor replace what may be secret in any branch of the schema. */
function createSecretWalk(root: JsonSchema): (value: unknown, visitor: Visitor) => unknown {
  const nodes = new SchemaNodes(root, "possible");
  const guarded = hasSecret(root);

  function visit(
    value: unknown,
    schemas: readonly unknown[],
    at: { path: string; visitor: Visitor },
  ): unknown {
    const { path, visitor } = at;
    if (guarded && schemas.length === 0) return visitor.unknown(value);
    const here = [...new Set(schemas.flatMap((schema) => nodes.inPlace(schema)))];
    // A list is never a secret itself; where a union allows both, its items may be.
    const secret = !Array.isArray(value) && here.some((node) => node.secret === true);
    if (secret) return visitor.secret(value, path);
    if (Array.isArray(value)) {
      return value.map((item, index) =>
        visit(item, nodes.ofItem(here, index), { path: path + toPointer([index]), visitor }),
      );
    }
    if (!isRecord(value)) return value;
    const copy: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const inner = { path: path + toPointer([key]), visitor };
      setOwn(copy, key, visit(item, nodes.ofKey(here, key), inner));
    }
    return copy;
  }

  return (value, visitor) => visit(value, [root], { path: "", visitor });
}

function hasSecret(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.some(hasSecret);
  if (!isRecord(schema)) return false;
  return schema.secret === true || Object.values(schema).some(hasSecret);
}

interface SecretPlace {
  readonly pointer: string;
  readonly secrets: SecretReader;
  readonly issues: SchemaIssue[];
}

/** A secret's text in place of a reference; other values are left for the schema to judge. */
function resolveSecret(value: unknown, { pointer, secrets, issues }: SecretPlace): unknown {
  if (!isRecord(value)) return value;
  const reference = asReference(value);
  if (reference === undefined) {
    const message =
      "Cannot use this as a secret: a string, { fromFile: PATH } or { fromEnv: NAME } is needed";
    issues.push({ pointer, message });
    return value;
  }
  const result = secrets.read(reference);
  if ("value" in result) return result.value;
  issues.push({ pointer, message: result.problem });
  return value;
}

function asReference(value: Readonly<Record<string, unknown>>): SecretReference | undefined {
  const [entry, ...others] = Object.entries(value);
  if (entry === undefined || others.length > 0) return undefined;
  const [key, source] = entry;
  if (typeof source !== "string" || source === "" || source.includes("\0")) return undefined;
  if (key === "fromFile") return { fromFile: source };
  return key === "fromEnv" ? { fromEnv: source } : undefined;
}

function freeze(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) freeze(item);
  return Object.freeze(value);
}
