/** Waits long enough for a machine under load; a condition that will come true does so far sooner. */
const DEADLINE_MS = 20_000;
const INTERVAL_MS = 10;

/**
 * Waits until a condition gives something other than `undefined` or `false`, and returns that.
 * @throws {Error} If it does not within 20 seconds; `detail` is asked then and added.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  { detail = () => "" }: { readonly detail?: () => string } = {},
): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) {
      throw new Error(`Cannot go on: still no ${what} after ${DEADLINE_MS} ms\n${detail()}`.trimEnd());
    }
    await Bun.sleep(INTERVAL_MS);
  }
}
