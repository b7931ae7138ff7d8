/** A path that normalising cannot change: nothing encoded, no empty and no dot segment. */
const PLAIN = /^(?:\/(?!\.{1,2}(?:\/|$))[^%/]+)*\/?$/;
const ENCODED = /%([0-9A-Fa-f]{2})?/g;
const UNRESERVED = /[A-Za-z0-9._~-]/;

/**
 * The path as policies and conditions decide by it (RFC 3986 section 6.2.2): encoded unreserved characters
 * decoded, other encodings in upper case, repeated slashes merged, dot segments resolved. Encoded slashes stay
 * encoded. A percent sign that encodes nothing is itself encoded: else it could make an encoding with what was
 * decoded after it. What does not begin with a slash (`*`, CONNECT) has no segments to resolve.
 */
export function normalisePath(path: string): string {
  if (PLAIN.test(path)) return path;
  const decoded = path.replace(ENCODED, (encoded, hex: string | undefined) => {
    if (hex === undefined) return "%25";
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return UNRESERVED.test(character) ? character : encoded.toUpperCase();
  });
  if (!decoded.startsWith("/")) return decoded;
  const segments: string[] = [];
  const parts = decoded.split("/");
  for (const part of parts) {
    if (part === "" || part === ".") continue;
    if (part === "..") segments.pop();
    else segments.push(part);
  }
  const last = parts[parts.length - 1];
  const directory = segments.length > 0 && (last === "" || last === "." || last === "..");
  return `/${segments.join("/")}${directory ? "/" : ""}`;
}
