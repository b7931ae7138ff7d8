// Closures of macros: `has`, `cel.bind`, and those that go over a list or the keys of a map.
import { find } from "./access.ts";
import type { Closure, Scope } from "./closures.ts";
import { Fault, placed } from "./fault.ts";
import type { Meter } from "./meter.ts";
import { type CelNode, childrenOf } from "./node.ts";
import { isDictionary, isList, keysOf, sizeOf } from "./values.ts";
import type { Variables } from "./variables.ts";

/** Evaluates a part of a macro with its variable set to an item. */
type OnItem = (variables: Variables, item: unknown) => unknown;

type Loop = (items: Iterable<unknown>, variables: Variables) => unknown;

/** `has(a.b)`: whether there is a `b`; that there is an `a` is taken for granted. */
export function compileHas(node: CelNode, scope: Scope): Closure {
  const [, [access]] = node.args as [string, [CelNode]];
  const [receiver, name] = access.args as [CelNode, string];
  const holder = scope.compile(receiver, scope);
  return (variables) => find(holder(variables), name, node.pos) !== undefined;
}

export function compileMacro(node: CelNode, scope: Scope): Closure {
  const [name, receiver, [variable, ...rest]] = node.args as [string, CelNode, [CelNode, ...CelNode[]]];
  const place = scope.reserve();
  const inner = { ...scope, places: new Map(scope.places).set(variable.args as string, place) };
  const onItem = (part: CelNode): OnItem => {
    const run = scope.compile(part, inner);
    return (variables, item) => {
      variables.locals[place] = item;
      return run(variables);
    };
  };
  if (name === "bind") {
    const [value, body] = rest as [CelNode, CelNode];
    const bound = scope.compile(value, scope);
    const run = onItem(body);
    return (variables) => run(variables, bound(variables));
  }
  const over = scope.compile(receiver, scope);
  const loop = loopFor(name, rest.map(onItem), node.pos);
  const { meter } = scope.tools;
  const weight = countNodes(node);
  return (variables) => {
    const holder = over(variables);
    try {
      return loop(itemsOf(holder, meter, weight), variables);
    } catch (error) {
      throw placed(error, node.pos);
    }
  };
}

function loopFor(name: string, [first, second]: OnItem[], at: number): Loop {
  const test = tester(first!, at);
  switch (name) {
    case "all":
      return quantifier(test, false);
    case "exists":
      return quantifier(test, true);
    case "exists_one":
      return (items, variables) => {
        let found = 0;
        for (const item of items) if (test(variables, item)) found++;
        return found === 1;
      };
    case "filter":
      return (items, variables) => Array.from(items).filter((item) => test(variables, item));
    case "map":
      return (items, variables) => {
        const all = Array.from(items);
        if (second === undefined) return all.map((item) => first!(variables, item));
        return all.filter((item) => test(variables, item)).map((item) => second(variables, item));
      };
    default:
      throw new Fault("unsupported_macro", at);
  }
}

/** Ends at the first item that decides; errors on the way there do not matter. */
function quantifier(test: (variables: Variables, item: unknown) => boolean, decisive: boolean): Loop {
  return (items, variables) => {
    let failure: unknown;
    for (const item of items) {
      try {
        if (test(variables, item) === decisive) return decisive;
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return !decisive;
  };
}

function tester(run: OnItem, at: number): (variables: Variables, item: unknown) => boolean {
  return (variables, item) => {
    const value = run(variables, item);
    if (typeof value !== "boolean") throw new Fault("invalid_condition_type", at);
    return value;
  };
}

function itemsOf(holder: unknown, meter: Meter, weight: number): Iterable<unknown> {
  if (!isList(holder) && !isDictionary(holder)) throw new Fault("no_such_overload");
  meter.iterate(sizeOf(holder, meter), weight);
  return isList(holder) ? holder : keysOf(holder);
}

/** What one item costs. */
function countNodes(node: CelNode): number {
  return childrenOf(node).reduce((count, child) => count + countNodes(child), 1);
}
