// The thread that reads one YAML text for `parseYamlApart`. The compiled executable has it as an entry of its own.
import { readYaml, type YamlReading } from "./read-yaml.ts";
import { takeApart, type ValuePart } from "./value-parts.ts";
import type { YamlLimits } from "./yaml-value.ts";

/** The first message to the thread; each further one, `next`, asks for the next part of the value. */
export interface YamlJob {
  readonly text: string;
  readonly file: string;
  readonly limits: YamlLimits;
}

/** What the thread answers: first what it read, without the value, then the value in parts. */
export type YamlReply =
  | { readonly read: Omit<YamlReading, "value"> }
  | { readonly parts: readonly ValuePart[] }
  | { readonly done: true };

declare const self: Pick<Worker, "postMessage" | "onmessage">;

let parts: Iterator<ValuePart[]> | undefined;

self.onmessage = ({ data }: MessageEvent<YamlJob | "next">) => {
  const reply = (message: YamlReply, transfer: ArrayBuffer[] = []): void =>
    self.postMessage(message, transfer);
  if (data !== "next") {
    const { value, ...read } = readYaml(data.text, data.file, data.limits);
    parts = takeApart(value);
    const { cells, keyEnds, lineStarts } = read.places;
    reply(
      { read },
      [cells, keyEnds, lineStarts].map(({ buffer }) => buffer as ArrayBuffer),
    );
    return;
  }
  const next = parts?.next();
  reply(next === undefined || next.done === true ? { done: true } : { parts: next.value });
};
