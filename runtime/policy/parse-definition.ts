import type { Problem } from "../document/problem.ts";
import type { PolicyDefinition } from "./definition.ts";

export function parseDefinition(
  _text: string,
  _file: string,
): { definition?: PolicyDefinition; problems: Problem[] } {
  throw new Error("not written yet");
}
