/** The text of one entry of `routes`, with its indentation, so that columns stay right. */
export interface RouteText {
  readonly text: string;
  /** Lines of the file before it. */
  readonly linesBefore: number;
}

/** Before the list: comments, blank lines, at most one document marker, then the key alone on its line. */
const HEAD = /^(?:[ ]*(?:#[^\n]*)?\n)*(?:---[ ]*\n)?(?:[ ]*(?:#[^\n]*)?\n)*routes:[ ]*(?:#[^\n]*)?\n/;
/** What may be an anchor or an alias, which can reach from one entry to another, or ends lines in another way. */
const UNSUITED = /(?:^|[\s[\]{},:?-])[&*][^\s]|\r(?!\n)|\uFEFF/;

/**
 * Cuts a route file into its entries, each a document of its own: reading a large file at one go would hold up
 * every exchange for seconds, and of a changed file only the entries that changed have to be read.
 *
 * It cuts only where the layout leaves no doubt: a list in block style under `routes` alone. A piece begins at
 * each line with a dash at the list's indentation; every other line is blank, a comment or indented deeper. If each piece is
 * read as a list of one, together they are what the whole file says; if one cannot be, it was cut wrongly or is
 * wrong itself, and the file is to be read as a whole. Returns undefined where the layout is another.
 */
export function splitRoutes(text: string): readonly RouteText[] | undefined {
  if (UNSUITED.test(text)) return undefined;
  const unified = text.replaceAll("\r\n", "\n");
  const head = HEAD.exec(unified)?.[0];
  if (head === undefined) return undefined;
  const lines = unified.slice(head.length).split("\n");
  const headLines = head.split("\n").length - 1;
  const dash = /^( *)-(?: |$)/;
  const nothing = /^ *(?:#.*)?$/;
  const first = lines.findIndex((line) => !nothing.test(line));
  const indent = dash.exec(lines[first] ?? "")?.[1]?.length;
  if (indent === undefined) return undefined;
  const starts: number[] = [];
  for (const [index, line] of lines.entries()) {
    if (nothing.test(line)) continue;
    const depth = /^ */.exec(line)![0].length;
    if (depth > indent) continue;
    if (depth < indent || !dash.test(line)) return undefined;
    starts.push(index);
  }
  return starts.map((start, index) => ({
    text: `${lines.slice(start, starts[index + 1] ?? lines.length).join("\n")}\n`,
    linesBefore: headLines + start,
  }));
}
