import type { Act, Lines } from "./exchange-model.ts";

/** The model's own reading of the four ways to change a header. */
export function applyAct(act: Act, lines: Lines): void {
  if (!("header" in act)) return;
  const { kind, header, value } = act;
  if (kind === "absent" && lines.some(([name]) => name === header)) return;
  if (kind === "set" || kind === "remove") dropLines(lines, header);
  if (kind !== "remove") lines.push([header, value]);
}

export function dropLines(lines: Lines, header: string): void {
  for (let at = lines.length - 1; at >= 0; at--) if (lines[at]![0] === header) lines.splice(at, 1);
}

/** The order of lines matters within a name only. */
export function grouped(lines: Lines): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const [name, value] of [...lines].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    groups[name] = [...(groups[name] ?? []), value];
  }
  return groups;
}
