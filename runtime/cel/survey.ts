import { checker } from "./environment.ts";
import { canonicalField, fieldsOf, VARIABLES } from "./fields.ts";
import { MAX_MACRO_NESTING } from "./limits.ts";
import { didYouMean } from "./nearest-name.ts";
import { bindsVariable, type CelNode, calledName, childrenOf, literalText } from "./node.ts";
import { compilePattern } from "./pattern.ts";

const MIN_INT = -(2n ** 63n);

/** Which parts of the exchange a condition can read: never less than it does. */
export interface ConditionReads {
  readonly requestBody: boolean;
  readonly response: boolean;
  readonly responseBody: boolean;
}

/** Something wrong at a place of the source, and what is needed there. */
export interface Finding {
  /** From 0. */
  readonly at: number;
  readonly message: string;
  readonly needed: string;
}

/** Names of an enclosing macro, and how many of them there are. */
interface Scope {
  readonly names: ReadonlySet<string>;
  readonly nesting: number;
}

/**
 * Goes through a parsed expression once, before it is checked: finds what it reads, refuses what would hide that,
 * and rewrites the capitalised spelling of fields to the one that is registered.
 */
export class Survey {
  readonly findings: Finding[] = [];
  /** Variables and fields of the engine's own types that are named, such as `route` or `Request.path`. */
  readonly names = new Set<string>();
  readonly #reads = { requestBody: false, response: false, responseBody: false };

  constructor(root: CelNode) {
    this.#visit(root, { names: new Set(), nesting: 0 });
  }

  get reads(): ConditionReads {
    return { ...this.#reads };
  }

  /** Returns the type of the engine's own that the node has, if it has one. */
  #visit(node: CelNode, scope: Scope): string | undefined {
    if (node.op === "id") return this.#visitName(node, scope, "whole");
    if (node.op === "." || node.op === "[]") return this.#visitAccess(node, scope);
    if (bindsVariable(node)) return this.#visitMacro(node, scope);
    const called = calledName(node);
    if (called !== undefined) this.#visitCall(node, called);
    if (node.args instanceof Uint8Array) this.#visitBytes(node);
    if (node.op === "-_" && (node.args as CelNode).args === -MIN_INT) return undefined;
    if (typeof node.args === "bigint" && node.args >= -MIN_INT) {
      this.#find(node, `${node.args} is no int`, "a number of 64 bits is needed");
    }
    for (const child of childrenOf(node)) this.#visit(child, scope);
    return undefined;
  }

  /** cel-js takes the first byte of each such character, where CEL takes all of them. */
  #visitBytes(node: CelNode): void {
    if (!/[^\0-\x7f]/.test(node.input.slice(node.start, node.end))) return;
    const needed = 'an escape such as "\\xff" or bytes("…") is needed';
    this.#find(node, "a literal of bytes has a character beyond ASCII", needed);
  }

  #visitName(node: CelNode, scope: Scope, use: "whole" | "field"): string | undefined {
    const name = node.args as string;
    if (scope.names.has(name)) return undefined;
    if (!checker().valueNames.has(name)) {
      this.#find(node, `unknown variable ${quote(name)}`, didYouMean(name, Object.keys(VARIABLES)));
      return undefined;
    }
    if (!Object.hasOwn(VARIABLES, name)) return undefined;
    const type = VARIABLES[name as keyof typeof VARIABLES];
    this.names.add(name);
    if (type === "Response") this.#reads.response = true;
    if (use === "whole" && (type === "Request" || type === "Response")) {
      this.#find(node, `${quote(name)} is used as a whole`, "one of its fields is needed");
    }
    return type;
  }

  #visitAccess(node: CelNode, scope: Scope): string | undefined {
    const args = node.args as [CelNode, CelNode | string];
    const [receiver, key] = args;
    const type =
      receiver.op === "id" ? this.#visitName(receiver, scope, "field") : this.#visit(receiver, scope);
    const fields = fieldsOf(type);
    if (fields === undefined || type === undefined) {
      if (typeof key !== "string") this.#visit(key, scope);
      return undefined;
    }
    const name = typeof key === "string" ? key : literalText(key);
    if (name === undefined) {
      const message = `a field of ${quote(type.toLowerCase())} is computed`;
      this.#find(node, message, 'the name of the field is needed, such as ".path"');
      this.#visit(key as CelNode, scope);
      return undefined;
    }
    const field = canonicalField(fields, name);
    if (field === undefined) {
      const message = `unknown field ${quote(name)} of ${quote(type.toLowerCase())}`;
      this.#find(node, message, didYouMean(name, Object.keys(fields)));
      return undefined;
    }
    if (typeof key === "string") args[1] = field;
    else key.args = field;
    this.names.add(`${type}.${field}`);
    if (field === "body" && type === "Request") this.#reads.requestBody = true;
    if (field === "body" && type === "Response") this.#reads.responseBody = true;
    return fields[field];
  }

  /** `list.all(x, …)` and its like, and `cel.bind(x, value, …)`. */
  #visitMacro(node: CelNode, scope: Scope): undefined {
    const [name, receiver, [variable, ...rest]] = node.args as [string, CelNode, [CelNode, ...CelNode[]]];
    this.#visit(receiver, scope);
    if (isEmptyLiteral(receiver)) mendRange(node);
    const bound = variable.args as string;
    if (checker().valueNames.has(bound)) {
      this.#find(variable, `${quote(bound)} is a variable already`, "another name is needed");
    }
    if (scope.nesting >= MAX_MACRO_NESTING) {
      this.#find(
        node,
        `macros are nested deeper than ${MAX_MACRO_NESTING} levels`,
        "fewer levels are needed",
      );
      return;
    }
    if (name === "bind" && rest[0] !== undefined) this.#visit(rest.shift()!, scope);
    const inner = { names: new Set([...scope.names, bound]), nesting: scope.nesting + 1 };
    for (const child of rest) this.#visit(child, inner);
  }

  #visitCall(node: CelNode, name: string): void {
    if (!checker().functionNames.has(name)) {
      this.#find(node, `unknown function ${quote(name)}`, didYouMean(name, checker().functionNames));
    }
    if (name !== "matches" || node.op !== "rcall") return;
    const [argument] = (node.args as [string, CelNode, CelNode[]])[2];
    const pattern = literalText(argument);
    const compiled = pattern === undefined ? undefined : compilePattern(pattern);
    if (typeof compiled === "string") {
      this.#find(
        argument!,
        `the regular expression ${compiled}`,
        "a short one in the syntax of RE2 is needed",
      );
    }
  }

  #find(node: CelNode, message: string, needed: string): void {
    this.findings.push({ at: node.pos, message, needed });
  }
}

function isEmptyLiteral({ op, args }: CelNode): boolean {
  return (op === "list" || op === "map") && Array.isArray(args) && args.length === 0;
}

/** Nothing is known of the items of `[]`, but the checker of cel-js takes their type for one, and finds it wrong. */
function mendRange(node: CelNode): void {
  const loop = node.meta.alternate?.args as { iterable?: unknown } | undefined;
  if (loop?.iterable !== undefined) loop.iterable = checker().environment.parse("dyn([])").ast;
}

function quote(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}
