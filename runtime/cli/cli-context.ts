import type { BuildInfo, RegistryEntry } from "../policy/registry.ts";

/** What every command may need: what was compiled in, and where to write. */
export interface CliContext {
  readonly policies: readonly RegistryEntry[];
  readonly build: BuildInfo;
  readonly io: CliIo;
}

/** The outputs of a command. Results go to `out`, complaints to `err`. */
export interface CliIo {
  out(text: string): void;
  err(text: string): void;
  /** Whether `out` is a terminal that wants colours. */
  readonly colours: boolean;
  /** Whether `out` is a terminal, read by a person. Default: false. */
  readonly terminal?: boolean;
}

/** What a command ends with; `main.ts` hands it to the system. */
export const EXIT = {
  ok: 0,
  /** Problems were found in what was to be checked. */
  problems: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The engine cannot start. */
  cannotStart: 3,
} as const;

/** A value as JSON for machines and patient people. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

/** Text in a style, where the output wants it. */
export function paint(text: string, style: keyof typeof STYLES, { colours }: { colours: boolean }): string {
  return colours ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
}

/** Whether to use colours: on a terminal that can, unless `NO_COLOR` says otherwise (see no-color.org). */
export function wantsColours(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return isTerminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}

/** Takes the exit code of the command that ran. */
export type Finish = (exitCode: number) => void;
