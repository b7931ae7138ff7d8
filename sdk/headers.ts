/**
 * The headers of a request or a response as the policies before this one left them. Reading never changes
 * anything; return {@link HeaderChanges} from the hook to change headers.
 *
 * Names are compared without regard to case and are listed in lower case. Pseudo-headers (`:path`, `:status`)
 * are not among them: they are properties of the context. Values are decoded as UTF-8 and bytes that are not
 * UTF-8 read as U+FFFD; {@link HeadersView.getBytes} has them exactly as they came.
 */
export interface HeadersView {
  /**
   * The value of a header, several lines joined with `, ` (`cookie` with `; `), or `undefined` when there is
   * none. Joining is what RFC 9110 section 5.3 allows; `set-cookie` is the exception, use {@link getAll}.
   */
  get(name: string): string | undefined;
  /** Every line of a header in order; an empty list when there is none. */
  getAll(name: string): readonly string[];
  /** Every line of a header as the bytes that came over the wire; an empty list when there is none. */
  getBytes(name: string): readonly Uint8Array[];
  /** Whether the header is there, be it empty. */
  has(name: string): boolean;
  /** Every line as a pair of lower-case name and value, in the order of arrival. */
  entries(): IterableIterator<[name: string, value: string]>;
}
