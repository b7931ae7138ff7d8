/** A path that normalising cannot change: nothing encoded or to be encoded, no empty and no dot segment. */
const PLAIN = /^(?:\/(?!\.{1,2}(?:\/|$))[\x21-\x24\x26-\x2e\x30-\x7e]+)*\/?$/;
const ENCODED = /%([0-9A-Fa-f]{2})?/g;
const UNENCODED = /[^\x21-\x7e]/g;
const UNRESERVED = /[A-Za-z0-9._~-]/;

/**
 * The path as policies and conditions decide by it (RFC 3986 section 6.2.2): encoded unreserved characters
 * decoded, other encodings in upper case, repeated slashes merged, dot segments resolved. Encoded slashes stay
 * encoded; bytes that may not stand in a path are encoded. A percent sign that encodes nothing is itself encoded: else it could make an encoding with what was
 * decoded after it. What does not begin with a slash (`*`, CONNECT) has no segments to resolve.
 */
export function normalisePath(path: string): string {
  if (PLAIN.test(path)) return path;
  const decoded = encodeBytes(path).replace(ENCODED, (encoded, hex: string | undefined) => {
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

/** Encodes what is not visible ASCII. The text has one character a byte, as the kernel reads pseudo-headers. */
export function encodeBytes(text: string): string {
  return text.replace(UNENCODED, (byte) => {
    const hex = byte.charCodeAt(0).toString(16).toUpperCase();
    return `%${hex.padStart(2, "0")}`;
  });
}
