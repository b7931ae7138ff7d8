import { toPointer } from "./pointer.ts";
import { isRecord } from "./schema-nodes.ts";

/** A value in a document that somebody else defines, with its place; what is not there is an empty tree. */
export class Tree {
  readonly value: unknown;
  /** JSON pointer of the value; of the nearest place there is where it is not there. */
  readonly pointer: string;

  constructor(value: unknown, pointer = "") {
    this.value = value;
    this.pointer = pointer;
  }

  /** A member by its name in snake case, which Protobuf's JSON also lets be in camel case. */
  get(name: string): Tree {
    const camel = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    for (const key of [name, camel]) {
      if (isRecord(this.value) && Object.hasOwn(this.value, key))
        return new Tree(this.value[key], this.pointer + toPointer([key]));
    }
    return new Tree(undefined, this.pointer);
  }

  /** A member further down. */
  at(...names: readonly string[]): Tree {
    return names.reduce<Tree>((tree, name) => tree.get(name), this);
  }

  /** The items of a list; none of anything else. */
  items(): Tree[] {
    if (!Array.isArray(this.value)) return [];
    return this.value.map((item, index) => new Tree(item, this.pointer + toPointer([index])));
  }

  /** The members of a map. */
  members(): [key: string, member: Tree][] {
    if (!isRecord(this.value)) return [];
    return Object.entries(this.value).map(([key, member]) => [
      key,
      new Tree(member, this.pointer + toPointer([key])),
    ]);
  }
}
