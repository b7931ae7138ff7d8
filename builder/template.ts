import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ENGINE_DIR } from "./workspace.ts";

/**
 * Fills a file of `templates/`: `{{name}}` becomes the value as it is. A name without a value and a value
 * without a name are mistakes of ours.
 */
export function fillTemplate(file: string, values: Readonly<Record<string, string>>): string {
  const template = readFileSync(join(ENGINE_DIR, "templates", file), "utf8");
  const used = new Set<string>();
  const text = template.replace(/\{\{(\w+)\}\}/g, (_whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) throw new TypeError(`Cannot fill ${file}: there is no value for "${name}"`);
    used.add(name);
    return value;
  });
  const unused = Object.keys(values).filter((name) => !used.has(name));
  if (unused.length > 0) throw new TypeError(`Cannot fill ${file}: it does not use ${unused.join(", ")}`);
  return text;
}
