/** The text of one entry of `routes`, with its indentation, so that columns stay right. */
export interface RouteText {
  readonly text: string;
  /** Lines of the file before it. */
  readonly linesBefore: number;
}

/** What may be an anchor or an alias, which can reach from one entry to another, or ends lines in another way. */
const UNSUITED = /(?:^|[\s[\]{},:?-])[&*][^\s]|\r(?!\n)|\uFEFF/;

/** A blank line or a comment. Within a text of several lines it can be content, and it stays where it is. */
const NOTHING = /^ *(?:#.*)?$/;
/** A line that begins an entry. */
const DASH = /^( *)-(?: |$)/;

/**
 * Cuts a route file into its entries, each a document of its own: reading a large file at one go would hold up
 * every exchange for seconds, and of a changed file only the entries that changed have to be read.
 *
 * It cuts only where the layout leaves no doubt: a list in block style under `routes` alone. A piece begins at
 * each line with a dash at the list's indentation; every other line is blank, a comment or indented deeper. If
 * each piece is read as a list of one, together they are what the whole file says; if one cannot be, it was cut
 * wrongly or is wrong itself, and the file is to be read as a whole. Returns undefined for any other layout.
 */
export function splitRoutes(text: string): readonly RouteText[] | undefined {
  if (UNSUITED.test(text)) return undefined;
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const skip = (from: number): number => {
    const next = lines.findIndex((line, index) => index >= from && !NOTHING.test(line));
    return next === -1 ? lines.length : next;
  };
  const top = skip(0);
  const key = /^--- *$/.test(lines[top] ?? "") ? skip(top + 1) : top;
  if (!/^routes: *(?: #.*)?$/.test(lines[key] ?? "")) return undefined;
  const first = skip(key + 1);
  const indent = DASH.exec(lines[first] ?? "")?.[1]?.length;
  if (indent === undefined) return undefined;
  const starts: number[] = [];
  for (let index = first; index < lines.length; index++) {
    const line = lines[index]!;
    if (NOTHING.test(line)) continue;
    const depth = /^ */.exec(line)![0].length;
    if (depth > indent) continue;
    if (depth < indent || !DASH.test(line)) return undefined;
    starts.push(index);
  }
  return starts.map((start, index) => {
    const next = starts[index + 1];
    // Each piece ends as the file has it: a text can keep the line feeds at its end.
    const piece = lines.slice(start, next).join("\n");
    return { text: next === undefined ? piece : `${piece}\n`, linesBefore: start };
  });
}
