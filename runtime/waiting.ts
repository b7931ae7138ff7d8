import { within as settledWithin } from "./policy/within.ts";

/** What `work` comes to, or a rejection as soon as the signal aborts. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** @throws {Error} If the work takes longer. */
export async function within(milliseconds: number, work: Promise<void> | undefined): Promise<void> {
  const done = await settledWithin(work, milliseconds);
  if (done === undefined) throw new Error(`It took more than ${milliseconds} ms`);
}
