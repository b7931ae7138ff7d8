const WHITESPACE = " \t\r\n";

/**
 * Writes the string values of a JSON text in upper case. Names, numbers and the layout stay as they are written: to
 * parse it and write it anew would round numbers that JavaScript cannot hold.
 *
 * @param json A well-formed JSON text.
 */
export function upperCaseStrings(json: string): string {
  const parts: string[] = [];
  let copied = 0;
  let end = 0;
  for (let at = json.indexOf('"'); at !== -1; at = json.indexOf('"', end)) {
    end = endOfString(json, at);
    if (isName(json, end)) continue;
    parts.push(json.slice(copied, at), inUpperCase(json.slice(at, end)));
    copied = end;
  }
  return parts.join("") + json.slice(copied);
}

/** Where the string that begins at `start` is over. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at + 1;
}

function isName(json: string, end: number): boolean {
  let at = end;
  while (at < json.length && WHITESPACE.includes(json[at]!)) at++;
  return json[at] === ":";
}

function inUpperCase(literal: string): string {
  // The letters of an escape are not text: "\n" would become "\N".
  if (!literal.includes("\\")) return literal.toUpperCase();
  return JSON.stringify((JSON.parse(literal) as string).toUpperCase());
}
