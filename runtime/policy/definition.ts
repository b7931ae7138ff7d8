/** How a body is wanted: not at all, decoded, as it came, or chunk by chunk. */
export type BodyRequirement = "none" | "buffered" | "raw" | "streamed";

/** A JSON Schema (2020-12) with our keywords `secret`, `errorMessage` and `setsHeader`. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A policy definition file, checked, with its defaults filled in. */
export interface PolicyDefinition {
  readonly name: string;
  /** `v` and a semantic version, such as `v1.0.0`. */
  readonly version: string;
  readonly description: string;
  /** The range of SDK versions the policy was written for. */
  readonly sdk: string | undefined;
  /** Undefined: whatever the instance implements. */
  readonly supportsRequestPhase: boolean | undefined;
  readonly supportsResponsePhase: boolean | undefined;
  readonly requiresRequestBody: BodyRequirement;
  readonly requiresResponseBody: BodyRequirement;
  readonly failureMode: "closed" | "open";
  readonly conditionError: "skip" | "deny";
  readonly appliesToDenials: boolean;
  /** Whether it decides who may pass: then `conditionError` is `deny` unless given, and dangerous uses are warned of. */
  readonly authentication: boolean;
  /** Always an object schema; the typed list of the source documents is converted. */
  readonly parameters: JsonSchema;
}
