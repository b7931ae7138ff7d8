// Puts bounds on a checked expression: cel-js has none at run time. It computes a node from the values of its
// operands with a function it keeps on the node, and those functions are wrapped here.
import { EvaluationError } from "@marcbachmann/cel-js";
import {
  MAX_DURATION_TEXT,
  MAX_ITEMS,
  MAX_MADE_TEXT,
  MAX_SPLIT_TEXT,
  PATTERN_STEPS_PER_WORK,
  TIME_ZONE_WORK,
} from "./limits.ts";
import { type Meter, tooLarge } from "./meter.ts";
import { bindsVariable, type CelNode, calledName, childrenOf, literalText } from "./node.ts";
import { compilePattern, type Pattern, PatternCache } from "./pattern.ts";
import { StringMap } from "./string-map.ts";

/** Wraps every node below this one, and returns how many there are. */
export function applyBounds(
  node: CelNode,
  meter: Meter,
  patterns: PatternCache = new PatternCache(),
): number {
  let count = 1;
  for (const child of childrenOf(node)) count += applyBounds(child, meter, patterns);
  if (bindsVariable(node)) {
    const loop = node.meta.alternate;
    if (loop !== undefined) before(loop, (items) => meter.iterate(items, count));
    return count;
  }
  const called = calledName(node);
  if (called !== undefined) boundCall(node, { called, meter, patterns });
  else if (node.op === "." || node.op === "[]") readMissingAsEmpty(node);
  else if (node.op === "+") before(node, (left, right) => boundSum(left, right, meter));
  else if (node.op === "==" || node.op === "!=") before(node, (left) => meter.compare(left));
  else if (node.op === "in") before(node, (_, list) => boundMembership(list, meter));
  return count;
}

/** A header or a query parameter that is missing reads as an empty text. */
function readMissingAsEmpty(node: CelNode): void {
  const { handle } = node;
  const [receiver] = node.args as [CelNode];
  if (handle === undefined || receiver.checkedType?.kind === "message") return;
  node.handle = (map, key, c, d) =>
    map instanceof StringMap && typeof key === "string" ? (map.get(key) ?? "") : handle(map, key, c, d);
}

function boundCall(node: CelNode, options: { called: string; meter: Meter; patterns: PatternCache }): void {
  const { called, meter, patterns } = options;
  if (called === "matches" && node.op === "rcall") {
    const literal = literalText((node.args as [string, CelNode, CelNode[]])[2][0]);
    const known = literal === undefined ? undefined : compilePattern(literal);
    node.handle = (operands) => {
      const [text, source] = operands as unknown[];
      if (typeof text !== "string" || typeof source !== "string") throw noOverload();
      const pattern = known ?? patterns.get(source, (work) => meter.spend(work));
      return matches(text, pattern, meter);
    };
  } else if (called === "lowerAscii" || called === "upperAscii") {
    const letters = called === "lowerAscii" ? /[A-Z]+/g : /[a-z]+/g;
    const change = called === "lowerAscii" ? "toLowerCase" : "toUpperCase";
    node.handle = (operands) => {
      const [text] = operands as unknown[];
      if (typeof text !== "string") throw noOverload();
      meter.read(text);
      // That of cel-js changes letters beyond ASCII, among them some that become ASCII ones.
      return text.replace(letters, (run) => run[change]());
    };
  } else {
    before(node, (operands) => boundOperands(called, operands as unknown[], meter));
  }
}

function boundOperands(called: string, operands: readonly unknown[], meter: Meter): void {
  const [first, second] = operands;
  for (const operand of operands) meter.read(operand);
  if (typeof first === "string") {
    if (called === "split" && first.length > MAX_SPLIT_TEXT) {
      throw tooLarge(`Text of more than ${MAX_SPLIT_TEXT} characters`);
    }
    if (called === "duration" && first.length > MAX_DURATION_TEXT) {
      throw tooLarge(`Duration of more than ${MAX_DURATION_TEXT} characters`);
    }
  } else if (first instanceof Date && second !== undefined) {
    meter.spend(TIME_ZONE_WORK);
  } else if (called === "join" && Array.isArray(first)) {
    meter.spend(first.length);
    let length = typeof second === "string" ? second.length * first.length : 0;
    for (const item of first) length += typeof item === "string" ? item.length : 0;
    if (length > MAX_MADE_TEXT) throw tooLarge(`Text of more than ${MAX_MADE_TEXT} characters`);
  }
}

function boundSum(left: unknown, right: unknown, meter: Meter): void {
  if (Array.isArray(left) && Array.isArray(right)) {
    meter.spend(left.length + right.length);
    if (left.length + right.length > MAX_ITEMS) throw tooLarge(`More than ${MAX_ITEMS} items`);
  } else if (isText(left) && isText(right) && left.length + right.length > MAX_MADE_TEXT) {
    throw tooLarge(`Text of more than ${MAX_MADE_TEXT} characters`);
  }
}

/** Looking up a key takes no time; looking through a list does. */
function boundMembership(list: unknown, meter: Meter): void {
  if (Array.isArray(list) || list instanceof Set) meter.compare(list);
}

/** Takes the place of `matches` of cel-js, which backtracks and compiles its pattern each time. */
function matches(text: string, pattern: Pattern | string, meter: Meter): boolean {
  if (typeof pattern === "string") {
    throw new EvaluationError({ code: "invalid_regular_expression", message: pattern });
  }
  meter.spend((text.length * pattern.instructions) / PATTERN_STEPS_PER_WORK);
  return pattern.test(text);
}

function noOverload(): EvaluationError {
  return new EvaluationError({ code: "no_such_overload", message: "No such overload" });
}

function isText(value: unknown): value is string | Uint8Array {
  return typeof value === "string" || value instanceof Uint8Array;
}

function before(node: CelNode, check: (a: unknown, b: unknown) => void): void {
  const { handle } = node;
  if (handle === undefined) return;
  node.handle = (a, b, c, d) => {
    check(a, b);
    return handle(a, b, c, d);
  };
}
