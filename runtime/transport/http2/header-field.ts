// What a header of a request may be (RFC 9113 sections 8.2.1 and 8.2.2).

/** Headers that speak of one HTTP/1 connection. */
const CONNECTION_HEADERS = new Set([
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"],
]);
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** NUL, CR, LF, and blanks at the ends. */
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** Whether a header, or a pseudo-header of any name, may stand in a request. */
export function isField(name: string, value: string): boolean {
  if (!NAME.test(name) || BAD_VALUE.test(value) || CONNECTION_HEADERS.has(name)) return false;
  return name !== "te" || value === "trailers";
}

export function isPseudo(name: string): boolean {
  return name.startsWith(":");
}
