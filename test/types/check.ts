import { join } from "node:path";

export const root = join(import.meta.dir, "../..");

/** An error of the type checker, or the place where one is expected. */
export interface Finding {
  /** From 1. */
  readonly line: number;
  readonly code: string;
}

/** Type-checks files with the project's options, also files that the project leaves out. */
export async function checkTypes(
  files: readonly string[],
): Promise<{ errors: Map<string, Finding[]>; output: string }> {
  // --all: above fifty errors, equal ones would be grouped.
  const check = Bun.spawn([process.execPath, "check", "--all", "--no-pretty", ...files], {
    cwd: root,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    check.stdout.text(),
    check.stderr.text(),
    check.exited,
  ]);
  const output = stdout + stderr;
  const errors = new Map<string, Finding[]>();
  for (const [, file, line, code] of output.matchAll(/^(\S+)\((\d+),\d+\): error (TS\d+):/gm)) {
    const path = join(root, file!);
    errors.set(path, [...(errors.get(path) ?? []), { line: Number(line), code: code! }]);
  }
  if (exitCode !== 0 && errors.size === 0) throw new Error(`Cannot check types: ${output}`);
  return { errors, output };
}

/** What the comments `// @expect-error TS1234 TS5678` of a file promise about the lines below them. */
export function expectedErrors(source: string): Finding[] {
  return source.split("\n").flatMap((text, index) => {
    const codes = /^\s*\/\/ @expect-error((?: TS\d+)+)$/.exec(text)?.[1]?.trim().split(" ") ?? [];
    return codes.map((code) => ({ line: index + 2, code }));
  });
}
