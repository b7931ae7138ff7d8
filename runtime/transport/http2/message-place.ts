/** A message lies where it came unless that keeps so many times its own size alive, of more than that. */
const KEPT_RATIO = 8;
const KEPT_BYTES = 16_384;

/** Whether a message of so many bytes may be kept in what came, for as long as the receiver likes. */
export function staysInPlace(came: number, length: number): boolean {
  return came <= KEPT_BYTES || came <= KEPT_RATIO * length;
}
