/** What stands in the place of a secret for people to read. */
export const REDACTED = "[redacted]";

/** Secrets shorter than this are likely to stand in any text, where replacing them would show them. */
export const MIN_REPLACED = 4;

/** Takes the secrets it knows out of a text. */
export type Scrub = (text: string) => string;

/** A function that takes secrets out of a text. A text with a very short secret is withheld altogether. */
export function scrubber(secrets: readonly string[]): Scrub {
  // Longer ones first: a secret may be part of another.
  const known = [...new Set(secrets.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  return (text) => {
    if (known.some((secret) => secret.length < MIN_REPLACED && text.includes(secret))) {
      return "the message is withheld, because it may hold a secret";
    }
    return known.reduce((clean, secret) => clean.replaceAll(secret, REDACTED), text);
  };
}

/** A secret as it may stand in a text: as it is, in JSON that libraries quote, and in a URL. */
function formsOf(secret: string): string[] {
  if (secret === "") return [];
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret.toWellFormed())];
}
