/** What a promise resolves to, in a wrapper, or undefined when that takes longer. Rejects if it does. */
export async function within<T>(
  promise: T | PromiseLike<T>,
  milliseconds: number,
): Promise<{ readonly value: T } | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    const settled = Promise.resolve(promise).then((value) => ({ value }));
    return await Promise.race([settled, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
