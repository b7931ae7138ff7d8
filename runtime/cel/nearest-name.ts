import { nearest } from "../document/nearest.ts";

/** A hint in the words of a message: the known name a mistyped one most likely meant, or what there is. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known];
  const best = nearest(name, names);
  if (best !== undefined) return `did you mean ${JSON.stringify(best)}?`;
  return names.length > 12 ? "a known name is needed" : `one of ${names.join(", ")} is needed`;
}
