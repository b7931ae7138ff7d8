const GAP = "  ";

/** A row of a table as lines: each cell is wrapped to its column's width, at blanks where there are any. */
export function tableRow(cells: readonly string[], widths: readonly number[]): string {
  const columns = widths.map((width, index) => wrap(cells[index] ?? "", width));
  const height = Math.max(...columns.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    columns
      .map((lines, index) => (lines[line] ?? "").padEnd(widths[index] ?? 0))
      .join(GAP)
      .trimEnd(),
  ).join("\n");
}

/** The line under a table's head. */
export function tableRule(widths: readonly number[]): string {
  return widths.map((width) => "─".repeat(width)).join(GAP);
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const blank = rest.lastIndexOf(" ", width);
    const end = blank > 0 ? blank : width;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}
