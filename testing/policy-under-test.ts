import { join } from "node:path";
import { compareProblems, formatProblem } from "../runtime/document/problem.ts";
import type { JsonSchema, PolicyDefinition } from "../runtime/policy/definition.ts";
import { compileParameters, type Parameters, type SecretReader } from "../runtime/policy/parameters.ts";
import { parseDefinition } from "../runtime/policy/parse-definition.ts";
import type { PolicyModule, RegisteredPolicy } from "../runtime/policy/registry.ts";
import { readDefinition } from "./read-definition.ts";

/** What a policy without a definition is called. */
const NAMELESS = "name: policy\nversion: v0.0.0\n";

/** Without a definition there is nothing to check against; they are copied and frozen all the same. */
const ANY_PARAMETERS: JsonSchema = { type: "object" };

/** @private The policy as the engine's registry would hold it, and the file of its definition. */
export function registeredPolicy(
  source: PolicyModule | PolicyModule["getPolicy"],
  place: string | URL | undefined,
): { policy: RegisteredPolicy; file: string } {
  const module = typeof source === "function" ? { getPolicy: source } : source;
  const { file, text } =
    place === undefined
      ? { file: join(process.cwd(), "(no definition)"), text: NAMELESS }
      : readDefinition(place);
  const { definition, problems } = parseDefinition(text, file);
  if (definition === undefined) throw new Error(problems.sort(compareProblems).map(formatProblem).join("\n"));
  const { name, version } = definition;
  const entry = {
    name,
    version,
    definition: text,
    sourcePath: file,
    integrity: "",
    load: () => Promise.resolve(module),
  };
  refuseWhatIsMissing(definition);
  const parameters = parametersOf(place === undefined ? ANY_PARAMETERS : definition.parameters, file);
  return { policy: { entry, definition, parameters, module }, file };
}

/** @private Parameters as `getPolicy` gets them. */
export function checkedParams(policy: RegisteredPolicy, raw: unknown, secrets: SecretReader): unknown {
  const { params, issues } = policy.parameters.check(raw, secrets);
  if (issues.length === 0) return params;
  const { name, version } = policy.definition;
  const lines = issues.map(({ pointer, message, hint }) => {
    const advice = hint === undefined ? "" : `\n  hint: ${hint}`;
    return `${pointer === "" ? "parameters" : pointer}: ${message}${advice}`;
  });
  throw new Error(`Cannot use the parameters of policy "${name}" ${version}:\n${lines.join("\n")}`);
}

function parametersOf(schema: JsonSchema, file: string): Parameters {
  const { parameters, problems } = compileParameters(schema);
  if (parameters === undefined) {
    throw new Error(`Cannot use the parameters of ${file}: ${problems.join("; ")}`);
  }
  return parameters;
}

/** As the engine refuses a route with such a policy: a test must not pass where the engine would not serve. */
function refuseWhatIsMissing(definition: PolicyDefinition): void {
  const { name, version, requiresRequestBody, requiresResponseBody } = definition;
  const missing: string[] = [];
  if (requiresRequestBody === "streamed") missing.push("requiresRequestBody: streamed");
  if (requiresResponseBody === "streamed") missing.push("requiresResponseBody: streamed");
  if (missing.length === 0) return;
  const state = `its definition says ${missing.join(" and ")}`;
  throw new Error(`Cannot use policy "${name}" ${version}: ${state}, which this engine does not have yet`);
}
