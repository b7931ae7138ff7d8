import { readYaml, unreadable, type YamlReading } from "./read-yaml.ts";
import { ValueBuilder } from "./value-parts.ts";
import { documentOf, tooLarge, type YamlDocument } from "./yaml-document.ts";
import type { YamlLimits } from "./yaml-value.ts";
import type { YamlJob, YamlReply } from "./yaml-worker.ts";

/** Characters up to which a text is read at once: it takes less than a thread takes to start. */
export const MAX_INLINE_CHARACTERS = 32 * 1024;
/**
 * How long one text may take. The largest route file takes some twenty seconds on a free processor; what takes
 * longer was written to take long.
 */
const MAX_PARSE_MS = 120_000;

export interface ApartOptions extends YamlLimits {
  /** Characters up to which a text is read at once. Default {@link MAX_INLINE_CHARACTERS}. */
  readonly inlineCharacters?: number;
  /** Default 120,000. */
  readonly timeoutMs?: number;
  /** The program of the thread, for tests. */
  readonly worker?: URL;
}

/**
 * Reads a text as `parseYaml` does, with the same result, but a large one in a thread of its own, so that
 * exchanges go on meanwhile. The thread ends with the text. Never rejects: a thread that cannot be started, ends
 * early or takes too long is a problem of the document.
 */
export async function parseYamlApart(
  text: string,
  file: string,
  options: ApartOptions = {},
): Promise<YamlDocument> {
  const { inlineCharacters = MAX_INLINE_CHARACTERS, timeoutMs = MAX_PARSE_MS, worker, ...limits } = options;
  const refused = tooLarge(text, file, limits);
  if (refused !== undefined) return documentOf(file, refused);
  if (text.length <= inlineCharacters) return documentOf(file, readYaml(text, file, limits));
  const reading = await readApart({ text, file, limits }, { timeoutMs, worker: worker ?? workerUrl() });
  return documentOf(file, reading);
}

/** Beside this file; in the compiled executable beside the program, where the builder puts it. */
function workerUrl(): URL {
  return new URL("./yaml-worker.ts", import.meta.url);
}

async function readApart(
  job: YamlJob,
  { timeoutMs, worker: url }: { readonly timeoutMs: number; readonly worker: URL },
): Promise<YamlReading> {
  const { promise, resolve } = Promise.withResolvers<YamlReading>();
  const fail = (reason: string): void => {
    // Nothing of the thread's own message: it may quote the text, which may hold secrets.
    const hint = "Reload to try again; split a file that is very large or deeply nested";
    resolve(unreadable(job.file, `Cannot read this file: ${reason}`, hint));
  };
  let started: Worker | undefined;
  const timer = setTimeout(() => fail(`it takes longer than ${timeoutMs} ms`), timeoutMs);
  try {
    const worker = new Worker(url);
    started = worker;
    const builder = new ValueBuilder();
    let read: Omit<YamlReading, "value"> | undefined;
    worker.onmessage = ({ data }: MessageEvent<YamlReply>) => {
      if ("done" in data) {
        if (read !== undefined) resolve({ value: builder.value, ...read });
        return;
      }
      if ("read" in data) read = data.read;
      else builder.add(data.parts);
      // One part at a time is asked for, so that others run in between.
      worker.postMessage("next");
    };
    worker.onmessageerror = () => fail("what the thread that reads it answered cannot be understood");
    worker.onerror = (event) => {
      event.preventDefault();
      fail("the thread that reads it failed");
    };
    worker.addEventListener("close", () => fail("the thread that reads it ended early"));
    worker.postMessage(job);
    return await promise;
  } catch {
    fail("a thread to read it cannot be started");
    return await promise;
  } finally {
    clearTimeout(timer);
    started?.terminate();
  }
}
