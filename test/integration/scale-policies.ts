// Fifty policy versions: what they do is told apart by a header line, how they do it differs.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";

export const POLICIES = 10;
export const VERSIONS = ["v1.0.0", "v1.1.0", "v1.2.0", "v2.0.0", "v2.1.0"] as const;
/** The parameter that policies with `validate` refuse, though the schema accepts it. */
export const REFUSED_LABEL = "refused";

export function policyName(index: number): string {
  return `scale-${String.fromCharCode(97 + index)}`;
}

/** The line that a version adds to `x-trace`. The version stands in its code, so that the code that ran shows. */
export function traceLine(name: string, { version, label }: { version: string; label: string }): string {
  return `${name} ${version} ${label}`;
}

interface Source {
  /** What stands in the policy's folder beside the definition. */
  readonly files: Readonly<Record<string, string>>;
  readonly response: boolean;
}

const IMPORTS = 'import type { Policy, PolicyFactory, RequestResult } from "@policy-engine/sdk";\n';

/** Ways to write the same policy; `stamp` is its name and version. */
const SHAPES: readonly ((stamp: string) => Source)[] = [
  (stamp) => ({
    response: false,
    files: {
      "policy.ts": `${IMPORTS}
export const getPolicy: PolicyFactory<{ readonly label: string }> = (_metadata, { label }): Policy => ({
  onRequest: (): RequestResult => ({ appendHeaders: { "x-trace": \`${stamp} \${label}\` } }),
});
`,
    },
  }),
  (stamp) => ({
    response: false,
    files: {
      "line.ts": `export function line(label: string): string {\n  return ["${stamp}", label].join(" ");\n}\n`,
      "policy.ts": `${IMPORTS}import { line } from "./line.ts";

export const getPolicy: PolicyFactory<{ readonly label: string }> = (_metadata, { label }): Policy => {
  const changes = { appendHeaders: { "x-trace": line(label) } };
  return { onRequest: (): RequestResult => changes };
};
`,
    },
  }),
  (stamp) => ({
    response: false,
    files: {
      "policy.ts": `${IMPORTS}
interface Params {
  readonly label: string;
}

export function validate({ label }: Params): string[] {
  return label === "${REFUSED_LABEL}" ? ["label is refused by ${stamp}"] : [];
}

export const getPolicy: PolicyFactory<Params> = (_metadata, params): Policy => ({
  onRequest(ctx): RequestResult {
    return { setHeaders: { "x-trace": [...ctx.headers.getAll("x-trace"), \`${stamp} \${params.label}\`] } };
  },
});
`,
    },
  }),
  (stamp) => ({
    response: false,
    files: {
      "policy.ts": `${IMPORTS}
export const getPolicy: PolicyFactory<{ readonly label: string }> = async (_metadata, { label }): Promise<Policy> => ({
  async onRequest(): Promise<RequestResult> {
    await Promise.resolve();
    return { appendHeaders: { "x-trace": [\`${stamp} \${label}\`] } };
  },
});
`,
    },
  }),
  (stamp) => ({
    response: true,
    files: {
      "policy.ts": `${IMPORTS.replace("RequestResult", "RequestResult, ResponseResult")}
export const getPolicy: PolicyFactory<{ readonly label: string }> = (_metadata, { label }): Policy => {
  const appendHeaders = { "x-trace": \`${stamp} \${label}\` };
  return {
    onRequest: (): RequestResult => ({ appendHeaders }),
    onResponse: (): ResponseResult => ({ appendHeaders }),
  };
};
`,
    },
  }),
];

/** Every policy has every shape once, each at another version. */
function sourceOf(policy: number, version: number): Source {
  const stamp = `${policyName(policy)} ${VERSIONS[version]}`;
  return SHAPES[(policy + version) % SHAPES.length]!(stamp);
}

/** Whether a version adds its line to the response too. */
export function actsOnResponse(policy: number, version: number): boolean {
  return sourceOf(policy, version).response;
}

/** Writes every version into a folder of its own; returns the manifest's path. */
export async function writePolicies(folder: string): Promise<string> {
  const entries: { name: string; uri: string }[] = [];
  for (let policy = 0; policy < POLICIES; policy += 1) {
    const name = policyName(policy);
    for (const [index, version] of VERSIONS.entries()) {
      const { files, response } = sourceOf(policy, index);
      const home = join(folder, name, version);
      await mkdir(home, { recursive: true });
      await Bun.write(join(home, "policy-definition.yaml"), stringify(definition(name, version, response)));
      for (const [file, text] of Object.entries(files)) await Bun.write(join(home, file), text);
      entries.push({ name, uri: `./${name}/${version}` });
    }
  }
  const manifest = join(folder, "policy-manifest.yaml");
  await Bun.write(manifest, stringify({ version: "v1", policies: entries }));
  return manifest;
}

function definition(name: string, version: string, response: boolean): Record<string, unknown> {
  const label = { type: "string", minLength: 1, maxLength: 64 };
  return {
    name,
    version,
    description: `Adds its name, its version and its label to the header x-trace`,
    supportsRequestPhase: true,
    supportsResponsePhase: response,
    parameters: { type: "object", additionalProperties: false, required: ["label"], properties: { label } },
  };
}
