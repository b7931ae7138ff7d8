/** One sample of an exposition. */
export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What {@link parseExposition} found. */
export interface ParsedExposition {
  readonly samples: readonly ParsedSample[];
  readonly help: ReadonlyMap<string, string>;
  readonly type: ReadonlyMap<string, string>;
}

/**
 * Reads the Prometheus text format, strictly: for tests and for tools of ours, so that what we write is checked
 * by something other than what wrote it.
 * @throws {SyntaxError} At the first line that is not of the format.
 */
export function parseExposition(text: string): ParsedExposition {
  if (text !== "" && !text.endsWith("\n")) throw new SyntaxError("The last line has no line feed");
  const help = new Map<string, string>();
  const type = new Map<string, string>();
  const samples: ParsedSample[] = [];
  for (const line of text.split("\n").slice(0, -1)) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (comment === null) {
      samples.push(parseSample(line));
      continue;
    }
    const [, kind, name = "", rest = ""] = comment;
    const found = kind === "HELP" ? help : type;
    if (found.has(name)) throw new SyntaxError(`A second ${kind} for ${name}`);
    found.set(name, kind === "HELP" ? unescaped(rest) : rest);
  }
  return { samples, help, type };
}

function parseSample(line: string): ParsedSample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^\n]*)\})? (\S+)$/.exec(line);
  if (match === null) throw new SyntaxError(`Not a sample: ${line}`);
  const [, name = "", labelText = "", valueText = ""] = match;
  const value = valueText.endsWith("Inf") ? Number(valueText.replace("Inf", "Infinity")) : Number(valueText);
  if (Number.isNaN(value) && valueText !== "NaN") throw new SyntaxError(`Not a number: ${line}`);
  return { name, labels: parseLabels(labelText), value };
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(,|$)/y;
  while (label.lastIndex < text.length) {
    const match = label.exec(text);
    if (match === null) throw new SyntaxError(`Not labels: ${text}`);
    labels[match[1]!] = unescaped(match[2]!);
  }
  return labels;
}

function unescaped(text: string): string {
  return text.replace(/\\([\\"n])/g, (_, character: string) => (character === "n" ? "\n" : character));
}
