// From the checked tree of an expression to functions that evaluate it. cel-js parses and checks; it could evaluate too,
// but without bounds, and the semantics of some of its operators and functions are not those of CEL.

import { read } from "./access.ts";
import { negate, toInt } from "./arithmetic.ts";
import { compileBinary, compileCall } from "./call-closures.ts";
import { Fault, placed } from "./fault.ts";
import { fieldsOf } from "./fields.ts";
import type { Tools } from "./functions.ts";
import { compileHas, compileMacro } from "./macros.ts";
import { bindsVariable, type CelNode, calledName, constantOf, literalItems, literalText } from "./node.ts";
import { StringMap } from "./string-map.ts";
import { plainKey } from "./values.ts";
import type { Variables } from "./variables.ts";

/** Computes a node for one exchange. */
export type Closure = (variables: Variables) => unknown;

/** Where a node stands. */
export interface Scope {
  readonly tools: Tools;
  /** Places of the variables that enclosing macros bind. */
  readonly places: ReadonlyMap<string, number>;
  /** Gives a place to a variable. */
  readonly reserve: () => number;
  readonly compile: (node: CelNode, scope: Scope) => Closure;
}

/** Compiles an expression that the survey and the checker have passed. */
export function compileClosures(root: CelNode, tools: Tools): Closure {
  let locals = 0;
  const reserve = (): number => locals++;
  return compileNode(root, { tools, places: new Map(), reserve, compile: compileNode });
}

function compileNode(node: CelNode, scope: Scope): Closure {
  if (bindsVariable(node)) return compileMacro(node, scope);
  switch (node.op) {
    case "value":
      return compileLiteral(node);
    case "id":
      return compileName(node, scope);
    case ".":
    case "[]":
      return compileAccess(node, scope);
    case "list":
      return compileList(node, scope);
    case "map":
      return compileMap(node, scope);
    case "?:":
      return compileChoice(node, scope);
    case "&&":
      return compileLogical(node, scope, false);
    case "||":
      return compileLogical(node, scope, true);
    case "!_":
    case "-_":
      return compileUnary(node, scope);
    case "call":
    case "rcall":
      return calledName(node) === "has" && node.op === "call"
        ? compileHas(node, scope)
        : compileCall(node, scope);
    default:
      return compileBinary(node, scope);
  }
}

function compileLiteral(node: CelNode): Closure {
  const value = node.args;
  return () => value;
}

const VARIABLES: Readonly<Record<string, Closure>> = {
  request: (variables) => variables.request,
  response: (variables) => variables.response,
  metadata: (variables) => variables.metadata,
  route: (variables) => variables.route,
  client: (variables) => variables.client,
  auth: (variables) => variables.auth,
  time: (variables) => variables.time,
};

function compileName(node: CelNode, { places }: Scope): Closure {
  const name = node.args as string;
  const place = places.get(name);
  if (place !== undefined) return (variables) => variables.locals[place];
  const constant = constantOf(node);
  if (constant !== undefined) return () => constant;
  return VARIABLES[name]!;
}

function compileAccess(node: CelNode, scope: Scope): Closure {
  const [receiverNode, keyNode] = node.args as [CelNode, CelNode | string];
  const receiver = scope.compile(receiverNode, scope);
  const at = node.pos;
  const name = typeof keyNode === "string" ? keyNode : literalText(keyNode);
  if (name === undefined) {
    const key = scope.compile(keyNode as CelNode, scope);
    return (variables) => read(receiver(variables), key(variables), at);
  }
  if (isOwn(receiverNode)) {
    // The survey has seen that the field is there.
    return (variables) => (receiver(variables) as Record<string, unknown>)[name];
  }
  const message = messageOfHeaders(receiverNode);
  if (message !== undefined) {
    const holder = scope.compile(message, scope) as (variables: Variables) => Message;
    return (variables) => holder(variables).header(name);
  }
  return (variables) => {
    const holder = receiver(variables);
    return holder instanceof StringMap ? (holder.get(name) ?? "") : read(holder, name, at);
  };
}

interface Message {
  header(name: string): string;
}

/** What has the headers, where a node is the headers of a message: reading one of them needs no map of all. */
function messageOfHeaders(node: CelNode): CelNode | undefined {
  if (node.op !== ".") return undefined;
  const [receiver, name] = node.args as [CelNode, string];
  return name === "headers" && isOwn(receiver) ? receiver : undefined;
}

function isOwn(node: CelNode): boolean {
  return fieldsOf(node.checkedType?.name) !== undefined;
}

function compileList(node: CelNode, scope: Scope): Closure {
  const constants = literalItems(node);
  if (constants !== undefined) return () => constants;
  const items = (node.args as CelNode[]).map((item) => scope.compile(item, scope));
  return (variables) => items.map((item) => item(variables));
}

function compileMap(node: CelNode, scope: Scope): Closure {
  const entries = (node.args as [CelNode, CelNode][]).map(([key, value]) => ({
    key: scope.compile(key, scope),
    value: scope.compile(value, scope),
    at: key.pos,
  }));
  return (variables) => {
    const map = new Map<unknown, unknown>();
    for (const entry of entries) {
      const key = plainKey(entry.key(variables));
      if (typeof key !== "string" && typeof key !== "bigint" && typeof key !== "boolean") {
        throw new Fault("unsupported_key_type", entry.at);
      }
      if (map.has(key)) throw new Fault("duplicate_key", entry.at);
      map.set(key, entry.value(variables));
    }
    return map;
  };
}

function compileChoice(node: CelNode, scope: Scope): Closure {
  const [condition, yes, no] = (node.args as CelNode[]).map((child) => scope.compile(child, scope)) as [
    Closure,
    Closure,
    Closure,
  ];
  return (variables) => {
    const chosen = condition(variables);
    if (chosen === true) return yes(variables);
    if (chosen === false) return no(variables);
    throw new Fault("invalid_condition_type", node.pos);
  };
}

/** The side that decides may be the right one, whatever became of the left one. */
function compileLogical(node: CelNode, scope: Scope, decisive: boolean): Closure {
  const [leftNode, rightNode] = node.args as [CelNode, CelNode];
  const left = scope.compile(leftNode, scope);
  const right = scope.compile(rightNode, scope);
  return (variables) => {
    let first: unknown;
    let failure: unknown;
    try {
      first = left(variables);
    } catch (error) {
      failure = error;
    }
    if (first === decisive) return decisive;
    const second = right(variables);
    if (second === decisive) return decisive;
    if (failure !== undefined) throw failure;
    if (typeof first !== "boolean" || typeof second !== "boolean") {
      throw new Fault("invalid_logical_operand", node.pos);
    }
    return !decisive;
  };
}

function compileUnary(node: CelNode, scope: Scope): Closure {
  const operand = node.args as CelNode;
  const at = node.pos;
  if (node.op === "-_" && operand.op === "value" && typeof operand.args === "bigint") {
    const value = toInt(-operand.args);
    return () => value;
  }
  const value = scope.compile(operand, scope);
  if (node.op === "!_") {
    return (variables) => {
      const given = value(variables);
      if (typeof given !== "boolean") throw new Fault("no_such_overload", at);
      return !given;
    };
  }
  return (variables) => {
    const given = value(variables);
    try {
      return negate(given);
    } catch (error) {
      throw placed(error, at);
    }
  };
}
