/** One way in which a value does not fit its schema. */
export interface SchemaIssue {
  /** JSON pointer into the value. */
  readonly pointer: string;
  /** Sentence case, no full stop. Names keys and says what is needed; never quotes a value. */
  readonly message: string;
  readonly hint?: string | undefined;
  /** Whether the key is at fault instead of the value. */
  readonly at?: "key" | "value" | undefined;
}
