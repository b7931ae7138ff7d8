import type { BuildInfo, RegistryEntry } from "./policy/registry.ts";

/** As much of the engine as the builder asks: it compiles in a fraction of the time. */
export async function main(policies: readonly RegistryEntry[], build: BuildInfo): Promise<void> {
  const [command] = process.argv.slice(2);
  if (command === "version") return say(build);
  const listed = [];
  for (const { name, version, definition, sourcePath, integrity, load } of policies) {
    const error = await load().then(
      () => undefined,
      (reason: unknown) => String(reason),
    );
    listed.push({ name, version, definition, sourcePath, integrity, error });
  }
  say({ policies: listed });
}

function say(value: unknown): void {
  console.log(JSON.stringify(value));
}
