/** Deeper than messages are that people design, and far from where readers that recurse lose their stack. */
export const DEFAULT_MAX_DEPTH = 64;

const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/**
 * Parses JSON whose arrays and objects stand at most `maxDepth` inside each other. As with JSON.parse a member
 * `__proto__` is a member like any other, and of members with the same name the last one counts.
 *
 * @throws SyntaxError which quotes nothing of the text
 */
export function parseJson(text: string, maxDepth: number = DEFAULT_MAX_DEPTH): unknown {
  if (isDeeperThan(text, maxDepth)) {
    throw new SyntaxError(`Cannot parse JSON: it is nested deeper than the ${maxDepth} levels allowed`);
  }
  try {
    return JSON.parse(text);
  } catch {
    // Not even as the cause: the error of the parser quotes the text.
    throw new SyntaxError("Cannot parse JSON: the text is not well-formed");
  }
}

/**
 * Counts brackets outside of strings. Up to the first mistake of the text this is the depth the parser is at;
 * after it the parser does not go on.
 */
function isDeeperThan(text: string, maxDepth: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (inString) {
      if (code === BACKSLASH) index++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === OPENING_BRACKET || code === OPENING_BRACE) {
      if (++depth > maxDepth) return true;
    } else if (code === CLOSING_BRACKET || code === CLOSING_BRACE) depth--;
  }
  return false;
}
