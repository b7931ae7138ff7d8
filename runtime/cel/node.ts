import type { ASTNode } from "@marcbachmann/cel-js";

/** A node of cel-js as it is at run time: its declarations leave out what the checker notes on it. */
export interface CelNode {
  readonly op: string;
  args: unknown;
  /** Where an error about the node points to. */
  readonly pos: number;
  /** The whole source, and the part of it that is the node. */
  readonly input: string;
  readonly start: number;
  readonly end: number;
  readonly meta: { readonly alternate?: CelNode; readonly macro?: unknown };
  /** Absent before the check, and where `has` looks instead. */
  readonly checkedType?: { readonly name: string };
}

/** The value of a name that stands for a constant, such as that of a type; undefined for other nodes. */
export function constantOf(node: CelNode): unknown {
  return node.op === "id" ? node.meta.alternate?.args : undefined;
}

export function asNode(node: ASTNode): CelNode {
  return node as unknown as CelNode;
}

/** The nodes that a person wrote directly below this one, in order. */
export function childrenOf(node: CelNode): CelNode[] {
  return node.op === "value" || node.op === "id" ? [] : nodesIn(node.args);
}

/** The name of the function or method that is called; undefined for other nodes. */
export function calledName(node: CelNode): string | undefined {
  return node.op === "call" || node.op === "rcall" ? ((node.args as unknown[])[0] as string) : undefined;
}

/** Whether it is a macro that binds a variable, as all of them but `has` do. */
export function bindsVariable(node: CelNode): boolean {
  return node.op === "rcall" && (node.meta.alternate !== undefined || node.meta.macro !== undefined);
}

/** The text of a literal; undefined for other nodes. */
export function literalText(node: CelNode | undefined): string | undefined {
  return node?.op === "value" && typeof node.args === "string" ? node.args : undefined;
}

/** The items of a list of nothing but literals; undefined for other nodes. Nothing that is evaluated changes a list. */
export function literalItems(node: CelNode): readonly unknown[] | undefined {
  if (node.op !== "list") return undefined;
  const items = node.args as CelNode[];
  return items.every(({ op }) => op === "value") ? Object.freeze(items.map(({ args }) => args)) : undefined;
}

function nodesIn(value: unknown): CelNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn);
  return typeof value === "object" && value !== null && "op" in value ? [value as CelNode] : [];
}
