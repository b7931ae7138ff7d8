import { Environment } from "@marcbachmann/cel-js";
import { FIELDS, VARIABLES } from "./fields.ts";
import { STRUCTURE_LIMITS } from "./limits.ts";
import {
  AuthVariable,
  ClientVariable,
  OriginalVariable,
  RequestVariable,
  ResponseVariable,
} from "./variables.ts";

/** One for all conditions: making it is costly, and nothing in it belongs to one of them. */
export const environment: Environment = createEnvironment();

/** Names of functions and methods, to find the one a mistyped name meant. */
export const functionNames: ReadonlySet<string> = new Set(
  environment.getDefinitions().functions.map((declaration) => declaration.name),
);

/** Names that stand for a value: the variables, and cel-js's own such as the names of types. */
export const valueNames: ReadonlySet<string> = new Set(
  environment.getDefinitions().variables.map((declaration) => declaration.name),
);

function createEnvironment(): Environment {
  const made = new Environment({
    unlistedVariablesAreDyn: false,
    // The specification lets lists and maps mix types.
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: false,
    limits: STRUCTURE_LIMITS,
  })
    .registerType("Original", { ctor: OriginalVariable, fields: FIELDS.Original })
    .registerType("Request", { ctor: RequestVariable, fields: FIELDS.Request })
    .registerType("Response", { ctor: ResponseVariable, fields: FIELDS.Response })
    .registerType("Client", { ctor: ClientVariable, fields: FIELDS.Client })
    .registerType("Auth", { ctor: AuthVariable, fields: FIELDS.Auth });
  for (const [name, type] of Object.entries(VARIABLES)) made.registerVariable(name, type);
  return made;
}
