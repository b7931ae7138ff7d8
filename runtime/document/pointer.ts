/** One step of a path into a document: a key of a map or an index of a list. */
export type PathStep = string | number;

/** The JSON pointer (RFC 6901) of a path. */
export function toPointer(path: readonly PathStep[]): string {
  return path.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** The steps of a JSON pointer, unescaped; the empty pointer has none. */
export function fromPointer(pointer: string): string[] {
  if (pointer === "") return [];
  return pointer
    .slice(1)
    .split("/")
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}
