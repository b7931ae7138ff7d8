/** A line that a tool wrote about a place in a file. */
export interface Diagnostic {
  /** As the tool named it. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** What a type check said. */
export interface TypeCheckOutput {
  readonly diagnostics: readonly Diagnostic[];
  /** Why files were read: a file and the file that named it. */
  readonly edges: readonly { readonly file: string; readonly from: string; readonly specifier: string }[];
}

/** Lines of an explanation that are kept: what follows repeats types in full. */
const MAX_DETAILS = 3;

/** Reads what `bun check --no-pretty --explainFiles` prints. */
export function parseTypeCheck(output: string): TypeCheckOutput {
  const diagnostics: (Diagnostic & { details: number })[] = [];
  const edges: { file: string; from: string; specifier: string }[] = [];
  let file = "";
  for (const line of output.split("\n")) {
    const found = /^(.+?)\((\d+),(\d+)\): error (TS\d+: .*)$/.exec(line);
    if (found !== null) {
      const [, at = "", row, column, message = ""] = found;
      diagnostics.push({ file: at, line: Number(row), column: Number(column), message, details: 0 });
      file = "";
    } else if (/^\s{3}\S/.test(line) && file !== "") {
      const why = /(?:via|directive) ["'](.+?)["'] from file '(.+?)'/.exec(line);
      if (why?.[1] !== undefined && why[2] !== undefined)
        edges.push({ file, from: why[2], specifier: why[1] });
    } else if (/^(?: {2}){1,4}\S/.test(line)) {
      const last = diagnostics.at(-1);
      if (last !== undefined && last.details < MAX_DETAILS) {
        diagnostics[diagnostics.length - 1] = {
          ...last,
          message: `${last.message.replace(/\.$/, "")}: ${line.trim()}`,
          details: last.details + 1,
        };
      }
    } else if (/^\S/.test(line)) {
      file = line;
    }
  }
  return { diagnostics: diagnostics.map(({ details: _, ...each }) => each), edges };
}

/** Reads the errors that `bun build` prints. */
export function parseBundle(output: string): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  let message: string | undefined;
  for (const line of output.split("\n")) {
    const error = /^error: (.*)$/.exec(line);
    if (error?.[1] !== undefined) {
      if (message !== undefined) diagnostics.push({ file: "", line: 1, column: 1, message });
      message = error[1];
      continue;
    }
    const at = /^\s+at (.+):(\d+):(\d+)$/.exec(line);
    if (at?.[1] !== undefined && message !== undefined) {
      diagnostics.push({ file: at[1], line: Number(at[2]), column: Number(at[3]), message });
      message = undefined;
    }
  }
  if (message !== undefined) diagnostics.push({ file: "", line: 1, column: 1, message });
  return diagnostics;
}
