/** One way in which a value does not fit its schema. */
export interface SchemaIssue {
  /** JSON pointer into the value. */
  readonly pointer: string;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Whether the key is at fault instead of the value. */
  readonly at?: "key" | "value" | undefined;
}

export interface CompiledSchema {
  /** Everything that does not fit, in document order; empty when the value fits. Values are never quoted. */
  check(value: unknown): SchemaIssue[];
  /** A deep copy with the schema's defaults filled in where a key is missing. */
  withDefaults(value: unknown): unknown;
}

export function compileSchema(_schema: unknown): { schema?: CompiledSchema; problems: string[] } {
  throw new Error("not written yet");
}
