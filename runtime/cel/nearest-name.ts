/** Longer names are not compared: nobody mistypes those. */
const MAX_LENGTH = 40;

/** A hint in the words of a message: the known name a mistyped one most likely meant, or what there is. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known];
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of name.length > MAX_LENGTH ? [] : names) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (best !== undefined) return `did you mean ${JSON.stringify(best)}?`;
  return names.length > 12 ? "a known name is needed" : `one of ${names.join(", ")} is needed`;
}

/** Insertions, deletions and replacements between two words. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, replaced));
    }
    previous = row;
  }
  return previous[b.length]!;
}
