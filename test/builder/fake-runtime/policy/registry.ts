export type { BuildInfo, RegistryEntry } from "../../../../runtime/policy/registry.ts";
