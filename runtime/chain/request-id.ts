/** Visible ASCII of a length that no honest id exceeds: a client may send it, and logs repeat it. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** Envoy's `x-request-id`, or one of our own where that is missing or unfit for a log. */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && REQUEST_ID.test(given) ? given : crypto.randomUUID();
}
