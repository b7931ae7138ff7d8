import type { Place, Report } from "./report.ts";

interface Level {
  /** Names that were seen; undefined in an array. */
  readonly names: Set<string> | undefined;
  readonly place: Place | undefined;
  /** The name, or the index, of the value that stands here. */
  key: string | number;
}

/**
 * Reports names that an object of a JSON text has twice. Of those the engine reads the last one, and the upstream
 * perhaps the first: it would be given a value that was never checked.
 *
 * @param json A well-formed JSON text.
 */
export function findDuplicates(json: string, report: Report): void {
  const levels: Level[] = [];
  const token = /["[\]{},]/g;
  for (let found = token.exec(json); found !== null && !report.full; found = token.exec(json)) {
    const level = levels.at(-1);
    const at = found.index;
    switch (json[at]) {
      case '"': {
        const end = endOfString(json, at);
        token.lastIndex = end;
        if (level?.names !== undefined && isName(json, end)) takeName(level, json.slice(at, end), report);
        break;
      }
      case "{":
      case "[": {
        const place = level && { parent: level.place, key: level.key };
        levels.push({ names: json[at] === "{" ? new Set() : undefined, place, key: 0 });
        break;
      }
      case ",":
        if (typeof level?.key === "number") level.key += 1;
        break;
      default:
        levels.pop();
    }
  }
}

function takeName(level: Level, literal: string, report: Report): void {
  const name = literal.includes("\\") ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  level.key = name;
  if (level.names?.has(name)) report.add({ parent: level.place, key: name }, "is there twice");
  level.names?.add(name);
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at + 1;
}

function isName(json: string, end: number): boolean {
  let at = end;
  while (at < json.length && " \t\r\n".includes(json[at]!)) at++;
  return json[at] === ":";
}
