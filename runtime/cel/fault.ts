/**
 * What an expression throws while it is evaluated. Not an Error, as nobody reads its stack and a request can cause
 * many of them: `||` and `exists` swallow what fails on one side.
 */
export class Fault {
  /** Such as `no_such_key`, for logs and metrics. */
  readonly code: string;
  /** Where in the source, from 0; undefined where it belongs to no place. */
  readonly at: number | undefined;

  constructor(code: string, at?: number) {
    this.code = code;
    this.at = at;
  }
}

/** A fault with its place in the source, where it has none yet. */
export function placed(error: unknown, at: number): unknown {
  return error instanceof Fault && error.at === undefined ? new Fault(error.code, at) : error;
}
