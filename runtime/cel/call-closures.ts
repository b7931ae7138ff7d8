// Closures of operators and calls. The values of their operands are looked at when they run: what the checker knows of
// them only makes the common ones shorter.
import { checkKind } from "./access.ts";
import { calculate, type Operator } from "./arithmetic.ts";
import type { Closure, Scope } from "./closures.ts";
import { Fault, placed } from "./fault.ts";
import { type Implementation, implementationOf, matches } from "./functions.ts";
import type { Meter } from "./meter.ts";
import { type CelNode, constantOf, literalItems, literalText } from "./node.ts";
import { compileLiteralPattern } from "./pattern.ts";
import { contains, equals, order } from "./values.ts";

type Compute = (left: unknown, right: unknown) => unknown;

/** Types whose values are the same where they are identical. */
const IDENTICAL = ["string", "bool", "int"];

export function compileBinary(node: CelNode, scope: Scope): Closure {
  const [leftNode, rightNode] = node.args as [CelNode, CelNode];
  const left = scope.compile(leftNode, scope);
  const right = scope.compile(rightNode, scope);
  const { op, pos: at } = node;
  const type = leftNode.checkedType?.name ?? "dyn";
  if ((op === "==" || op === "!=") && IDENTICAL.includes(type) && rightNode.checkedType?.name === type) {
    return compileIdentical(left, right, { meter: scope.tools.meter, wanted: op === "==" });
  }
  const wanted = op === "in" ? literalItems(rightNode) : undefined;
  if (wanted?.every((item) => typeof item === "string")) {
    return compileOneOf(left, new Set<unknown>(wanted), { at, meter: scope.tools.meter });
  }
  const compute = computeFor(op, scope);
  return (variables) => {
    const first = left(variables);
    const second = right(variables);
    try {
      return compute(first, second);
    } catch (error) {
      throw placed(error, at);
    }
  };
}

function compileIdentical(
  left: Closure,
  right: Closure,
  { meter, wanted }: { meter: Meter; wanted: boolean },
): Closure {
  return (variables) => {
    const first = left(variables);
    meter.read(first);
    return (first === right(variables)) === wanted;
  };
}

/** `in` a list of texts. */
function compileOneOf(
  value: Closure,
  wanted: ReadonlySet<unknown>,
  { at, meter }: { at: number; meter: Meter },
): Closure {
  return (variables) => {
    const given = value(variables);
    if (typeof given === "string") meter.read(given);
    else checkKind(given, at);
    return wanted.has(given);
  };
}

function computeFor(op: string, { tools: { meter } }: Scope): Compute {
  switch (op) {
    case "==":
      return (left, right) => equals(left, right, meter);
    case "!=":
      return (left, right) => !equals(left, right, meter);
    case "in":
      return (left, right) => contains(right, left, meter);
    case "<":
      return (left, right) => (order(left, right, meter) ?? 0) < 0;
    case ">":
      return (left, right) => (order(left, right, meter) ?? 0) > 0;
    case "<=":
      return (left, right) => (order(left, right, meter) ?? 1) <= 0;
    case ">=":
      return (left, right) => (order(left, right, meter) ?? -1) >= 0;
    case "+":
    case "-":
    case "*":
    case "/":
    case "%":
      return (left, right) => calculate(op as Operator, left, right, meter);
    default:
      throw new Fault("unsupported_operator");
  }
}

export function compileCall(node: CelNode, scope: Scope): Closure {
  const [name, ...rest] = node.args as [string, ...unknown[]];
  if (node.op === "call") {
    return compileOperands(node, scope, {
      implementation: implementationOf(name, "function"),
      operands: rest[0] as CelNode[],
    });
  }
  const [receiver, operands] = rest as [CelNode, CelNode[]];
  if (constantOf(receiver) !== undefined && !scope.places.has(receiver.args as string)) {
    const namespaced = implementationOf(`${receiver.args as string}.${name}`, "namespaced");
    if (namespaced !== undefined)
      return compileOperands(node, scope, { implementation: namespaced, operands });
  }
  const pattern = name === "matches" ? literalText(operands[0]) : undefined;
  return compileOperands(node, scope, {
    implementation: pattern === undefined ? implementationOf(name, "method") : matchesLiteral(pattern),
    operands: [receiver, ...operands],
  });
}

function compileOperands(
  node: CelNode,
  scope: Scope,
  call: { readonly implementation: Implementation | undefined; readonly operands: readonly CelNode[] },
): Closure {
  const { implementation } = call;
  if (implementation === undefined) throw new Fault("unsupported_function", node.pos);
  const { tools } = scope;
  const { meter } = tools;
  const at = node.pos;
  const [a, b, c, d] = call.operands.map((operand) => scope.compile(operand, scope));
  return (variables) => {
    const first = a?.(variables);
    const second = b?.(variables);
    const third = c?.(variables);
    const fourth = d?.(variables);
    try {
      meter.read(first);
      meter.read(second);
      meter.read(third);
      return implementation(tools, first, second, third, fourth);
    } catch (error) {
      throw placed(error, at);
    }
  };
}

/** The survey has seen that the pattern compiles. */
function matchesLiteral(source: string): Implementation {
  const pattern = compileLiteralPattern(source);
  if (typeof pattern === "string") throw new Fault("invalid_regular_expression");
  return (tools, value) => {
    if (typeof value !== "string") throw new Fault("no_such_overload");
    return matches(tools, value, pattern);
  };
}
