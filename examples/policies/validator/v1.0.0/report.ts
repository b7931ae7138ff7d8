/** Longer pointers are cut: they are made of names that a client chose. */
const MAX_POINTER = 256;

/** More than bodies of 10 MiB that people design need, and what a processor does in well under a second. */
export const MAX_WORK = 5_000_000;

/** Where in a body a value stands. */
export interface Place {
  readonly parent: Place | undefined;
  readonly key: string | number;
}

/** What is wrong at a place, in the form of RFC 9457. */
export interface BodyError {
  readonly detail: string;
  /** A JSON Pointer as the fragment of a URI, such as `#/user/email`. */
  readonly pointer: string;
}

/** Thrown when checking a body takes more work than it may. */
export class TooMuchWork extends Error {
  override readonly name = "TooMuchWork";
}

/** Collects what is wrong with a body, so many errors, and counts the work of finding it. */
export class Report {
  readonly errors: BodyError[] = [];
  readonly #most: number;
  #work: number;

  constructor(most: number, work: number = MAX_WORK) {
    this.#most = most;
    this.#work = work;
  }

  /** Whether there is no room for another error. */
  get full(): boolean {
    return this.errors.length >= this.#most;
  }

  /** The work that is left. */
  get workLeft(): number {
    return this.#work;
  }

  add(place: Place | undefined, detail: string): void {
    if (!this.full) this.errors.push({ detail, pointer: pointerOf(place) });
  }

  /** @throws {TooMuchWork} If there was too much of it. */
  spend(work: number): void {
    this.#work -= work;
    if (this.#work < 0) throw new TooMuchWork("Cannot check the body: it takes too long");
  }

  /** Whether a check finds nothing; what it finds is not reported. */
  passes(check: (report: Report) => void): boolean {
    const trial = new Report(1, this.#work);
    check(trial);
    this.#work = trial.workLeft;
    return trial.errors.length === 0;
  }
}

function pointerOf(place: Place | undefined): string {
  const tokens: string[] = [];
  for (let at = place; at !== undefined; at = at.parent) {
    const key = String(at.key).slice(0, MAX_POINTER);
    tokens.unshift(encode(key.replaceAll("~", "~0").replaceAll("/", "~1")));
  }
  const pointer = ["#", ...tokens].join("/");
  return pointer.length > MAX_POINTER ? `${pointer.slice(0, MAX_POINTER)}…` : pointer;
}

/** Half a character, which JSON allows and URIs do not, reads as U+FFFD. */
function encode(token: string): string {
  return encodeURIComponent(token.toWellFormed());
}
