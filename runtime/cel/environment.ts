import { Environment } from "@marcbachmann/cel-js";
import { DECLARATIONS, NAMESPACES, OPERATORS } from "./declarations.ts";
import { FIELDS, VARIABLES } from "./fields.ts";
import { STRUCTURE_LIMITS } from "./limits.ts";
import {
  AuthVariable,
  ClientVariable,
  OriginalVariable,
  RequestVariable,
  ResponseVariable,
} from "./variables.ts";

/** cel-js declares optional values also where they are off. */
const OPTIONAL = /^optional/i;

/** What checks expressions, and the names that they can have. */
interface Checker {
  readonly environment: Environment;
  /** Names of functions and methods, to find the one a mistyped name meant. */
  readonly functionNames: ReadonlySet<string>;
  /** Names that stand for a value: the variables, and cel-js's own such as the names of types. */
  readonly valueNames: ReadonlySet<string>;
}

let shared: Checker | undefined;

/**
 * One for all conditions: making it is costly, and nothing in it belongs to one of them. An engine without conditions
 * starts without it.
 */
export function checker(): Checker {
  shared ??= createChecker();
  return shared;
}

function createChecker(): Checker {
  const environment = createEnvironment();
  const { functions, variables } = environment.getDefinitions();
  const usable = functions.filter(
    ({ receiverType }) => receiverType === null || !OPTIONAL.test(receiverType),
  );
  return {
    environment,
    functionNames: new Set(usable.map(({ name }) => name)),
    valueNames: new Set(variables.map(({ name }) => name).filter((name) => !OPTIONAL.test(name))),
  };
}

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
  for (const [name, type] of Object.entries(NAMESPACES)) {
    const namespace = class {};
    made.registerType(type, namespace).registerConstant(name, type, new namespace());
  }
  for (const signature of DECLARATIONS) made.registerFunction(signature, neverCalled);
  for (const signature of OPERATORS) made.registerOperator(signature, neverCalled);
  return made;
}

/** cel-js only checks; closures evaluate. */
function neverCalled(): never {
  throw new Error("Cannot call a function of CEL by its declaration");
}
