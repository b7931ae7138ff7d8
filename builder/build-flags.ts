/** Flags of `bun build` that may be added: none of them takes a promise of the engine away. */
const ALLOWED = [
  "--banner",
  "--bytecode-depth",
  "--compile-jit-policy",
  "--conditions",
  "--define",
  "--drop",
  "--footer",
  "--keep-names",
  "--no-optimize-bytecode",
  "--reject-unresolved",
  "--sourcemap",
];

/** Flags that people know from other compilers, and why there is no such thing here. */
const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/upx/i, "a packed executable does not find the program that is embedded in it"],
  [/strip|^-s$|ldflags/i, "stripping removes the program that is embedded in the executable"],
  [/^--target|^--compile-executable-path/, "builds for other machines are not supported yet"],
  [/macros/, "code of policies does not run at build time"],
];

/** Why a flag cannot be passed on; undefined when it can. */
export function refuseBuildFlag(flag: string): string | undefined {
  const quotedFlag = JSON.stringify(flag);
  const reason = REFUSED.find(([pattern]) => pattern.test(flag.split("=")[0] ?? ""))?.[1];
  if (reason !== undefined) return `Cannot use the build flag ${quotedFlag}: ${reason}`;
  const name = flag.split("=")[0] ?? "";
  if (ALLOWED.includes(name) && !/[\0\r\n]/.test(flag)) return undefined;
  return `Cannot use the build flag ${quotedFlag}: it is not one of ${ALLOWED.join(", ")}`;
}
