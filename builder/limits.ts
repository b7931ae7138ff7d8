/** Bytes of a manifest: some thousand entries fit. */
export const MANIFEST_BYTES = 1024 * 1024;
/** Policies of one build; ten times the largest known. */
export const POLICIES = 1000;
/** Characters of a uri: what Linux allows a path to have. */
export const URI_CHARACTERS = 4096;
/** Folders below a `--policies-dir`: `team/policy/version` needs three. */
export const SEARCH_DEPTH = 8;
/** Folders looked into below a `--policies-dir`, so that `/` by mistake ends soon. */
export const SEARCH_FOLDERS = 20_000;
/** Files of one policy, without its dependencies. */
export const POLICY_FILES = 1000;
/** Folders inside each other in one policy. */
export const POLICY_DEPTH = 16;
/** Bytes of one policy, without its dependencies: they are held in memory once. */
export const POLICY_BYTES = 32 * 1024 * 1024;
/** Schemas inside each other that are written as types; deeper ones are `unknown`. */
export const TYPE_DEPTH = 24;
/** Characters of `params.gen.ts`; `$defs` that multiply are cut off here. */
export const TYPE_CHARACTERS = 256 * 1024;
/** Bytes of what a program we start may print. */
export const OUTPUT_BYTES = 32 * 1024 * 1024;
/** Problems of one report; the rest is counted. */
export const PROBLEMS = 1000;
/** Installing the dependencies of one policy, over a slow network. */
export const INSTALL_MS = 300_000;
/** Type check of all policies. */
export const CHECK_MS = 180_000;
/** Bundling one policy or compiling all of them. */
export const BUNDLE_MS = 300_000;
/** One run of the compiled executable: it only prints. */
export const VERIFY_MS = 30_000;
