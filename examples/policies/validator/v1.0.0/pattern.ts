// Regular expressions in a time that grows with the text and the pattern only: those of the language can take for
// ever on a text that a client made for that. What this cannot do (looking around, referring back) is refused.

/** Matches a text, or reports the work with `spend`, which may throw. */
export type Pattern = (text: string, spend: (work: number) => void) => boolean;

/** Instructions of one pattern, with repetitions written out. */
const MAX_PROGRAM = 2_000;
const MAX_SOURCE = 1_000;

type Test = (character: string) => boolean;
type Node =
  | { readonly kind: "character"; readonly test: Test }
  | { readonly kind: "start" | "end" }
  | { readonly kind: "all" | "any"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly part: Node; readonly least: number; readonly most: number };
type Instruction =
  | { readonly kind: "character"; readonly test: Test }
  | { readonly kind: "start" | "end" | "match" }
  | { readonly kind: "fork"; targets: readonly number[] };

/** @throws {SyntaxError} If it is no regular expression, or one that cannot be matched this way. */
export function compilePattern(source: string): Pattern {
  if (source.length > MAX_SOURCE) throw new SyntaxError(`a pattern has at most ${MAX_SOURCE} characters`);
  try {
    new RegExp(source, "u");
  } catch {
    throw new SyntaxError("the pattern is not a regular expression");
  }
  const program: Instruction[] = [];
  emit(new Parser(source).parse(), program);
  program.push({ kind: "match" });
  return (text, spend) => matches(program, { text, spend });
}

/** Reads what the language has found to be well-formed. */
class Parser {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Node {
    const options = [this.#sequence()];
    while (this.#take(/\|/y) !== undefined) options.push(this.#sequence());
    return { kind: "any", parts: options };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#source.length && !/[|)]/.test(this.#source[this.#at]!)) {
      parts.push(this.#repeated(this.#term()));
    }
    return { kind: "all", parts };
  }

  #repeated(part: Node): Node {
    const sign = this.#take(/([*+?]|\{(\d+)(,?)(\d*)\})\??/y);
    if (sign === undefined) return part;
    const [, which, from, comma, to] = sign;
    if (which === "*") return { kind: "repeat", part, least: 0, most: Number.POSITIVE_INFINITY };
    if (which === "+") return { kind: "repeat", part, least: 1, most: Number.POSITIVE_INFINITY };
    if (which === "?") return { kind: "repeat", part, least: 0, most: 1 };
    const least = Number(from);
    const open = to === "" ? Number.POSITIVE_INFINITY : Number(to);
    return { kind: "repeat", part, least, most: comma === "" ? least : open };
  }

  #term(): Node {
    if (this.#take(/\^/y)) return { kind: "start" };
    if (this.#take(/\$/y)) return { kind: "end" };
    if (this.#take(/\((?:\?:|(?!\?))/y)) {
      const inner = this.parse();
      this.#at += 1;
      return inner;
    }
    const atom = this.#take(
      /\[(?:[^\]\\]|\\.)*\]|\\(?![bBk1-9])(?:u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x..|c.|[pP]\{[^}]*\}|.)|[^([\\]/uy,
    );
    if (atom === undefined) {
      throw new SyntaxError("the pattern looks around, refers back or names a group, which is not supported");
    }
    const one = new RegExp(`^${atom[0]}$`, "u");
    return { kind: "character", test: (character) => one.test(character) };
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found === null) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }
}

function emit(node: Node, program: Instruction[]): void {
  if (program.length > MAX_PROGRAM)
    throw new SyntaxError("the pattern is too large, with its repetitions written out");
  switch (node.kind) {
    case "character":
    case "start":
    case "end":
      program.push(node);
      return;
    case "all":
      for (const part of node.parts) emit(part, program);
      return;
    case "any":
      return emitAny(node.parts, program);
    case "repeat":
      return emitRepeat(node, program);
  }
}

function emitAny(parts: readonly Node[], program: Instruction[]): void {
  if (parts.length === 1) return emit(parts[0]!, program);
  const entry = fork(program);
  const starts: number[] = [];
  const exits: { targets: readonly number[] }[] = [];
  for (const part of parts) {
    starts.push(program.length);
    emit(part, program);
    exits.push(fork(program));
  }
  entry.targets = starts;
  for (const exit of exits) exit.targets = [program.length];
}

function emitRepeat({ part, least, most }: Extract<Node, { kind: "repeat" }>, program: Instruction[]): void {
  for (let count = 0; count < least; count++) emitOnce(part, program);
  if (most === Number.POSITIVE_INFINITY) {
    const at = program.length;
    const entry = fork(program);
    emit(part, program);
    fork(program).targets = [at];
    entry.targets = [at + 1, program.length];
    return;
  }
  const exits: { targets: readonly number[] }[] = [];
  for (let count = least; count < most; count++) {
    const exit = fork(program);
    exit.targets = [program.length];
    exits.push(exit);
    emit(part, program);
  }
  for (const exit of exits) exit.targets = [...exit.targets, program.length];
}

/** An empty part counts too: repeated repetitions of it would be as good as endless. */
function emitOnce(part: Node, program: Instruction[]): void {
  const before = program.length;
  emit(part, program);
  if (program.length === before) fork(program).targets = [program.length];
}

function fork(program: Instruction[]): { targets: readonly number[] } {
  const instruction: Instruction = { kind: "fork", targets: [] };
  program.push(instruction);
  return instruction;
}

/** Follows every way through the program at the same time, one character after the other. */
function matches(
  program: readonly Instruction[],
  { text, spend }: { text: string; spend: (work: number) => void },
): boolean {
  // Where each instruction was last looked at, so that no way is followed twice.
  const seen = new Int32Array(program.length).fill(-1);
  let ways: number[] = [];
  let at = 0;
  for (let index = 0; ; index++) {
    const code = text.codePointAt(at);
    // A match may begin at every character.
    const open = [...ways, 0];
    ways = [];
    let work = 1;
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen[next] === index) continue;
      seen[next] = index;
      work++;
      const instruction = program[next]!;
      if (instruction.kind === "match") return true;
      if (instruction.kind === "fork") open.push(...instruction.targets);
      else if (
        instruction.kind === "start" ? at === 0 : instruction.kind === "end" ? code === undefined : false
      )
        open.push(next + 1);
      else if (instruction.kind === "character" && code !== undefined) {
        if (instruction.test(String.fromCodePoint(code))) ways.push(next + 1);
      }
    }
    spend(work);
    if (code === undefined) return false;
    at += code > 0xffff ? 2 : 1;
  }
}
