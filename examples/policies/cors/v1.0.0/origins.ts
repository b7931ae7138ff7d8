/** Tells allowed origins from others. */
export interface Origins {
  /** Every origin, as `*`. */
  readonly any: boolean;
  readonly exact: readonly string[];
  /** Whether a pattern allows the origin. */
  matches(origin: string): boolean;
}

/** `https://*.example.com:8443`: what stands before and behind the label. */
interface Pattern {
  readonly prefix: string;
  readonly suffix: string;
}

/** RFC 1035 section 2.3.1, and the underscore that some use: one label, no dot. */
const LABEL = /^[a-z0-9_-]{1,63}$/;

/** Sorts what the parameters allow, so that a request is looked up and not searched for. */
export function parseOrigins(allowed: readonly string[]): Origins {
  const patterns: Pattern[] = [];
  const exact: string[] = [];
  for (const origin of allowed) {
    if (origin === "*") continue;
    const star = origin.indexOf("*");
    if (star === -1) exact.push(origin);
    else patterns.push({ prefix: origin.slice(0, star), suffix: origin.slice(star + 1) });
  }
  return {
    any: allowed.includes("*"),
    exact,
    matches: (origin) => patterns.some((pattern) => fits(origin, pattern)),
  };
}

/** What is wrong with the origins beyond their form. */
export function originProblems(allowed: readonly string[]): string[] {
  const problems: string[] = [];
  if (allowed.includes("*") && allowed.length > 1)
    problems.push('origins has "*" and others: "*" allows every origin, so it is needed alone');
  for (const origin of allowed) {
    const [, scheme, port] = /^([a-z0-9+.-]+):\/\/.*?(?::(\d+))?$/.exec(origin) ?? [];
    const place = `origins has ${JSON.stringify(origin)}`;
    if ((scheme === "https" && port === "443") || (scheme === "http" && port === "80"))
      problems.push(`${place}: browsers leave the port out that the scheme has anyway`);
    if (Number(port) > 65_535) problems.push(`${place}: it has no possible port`);
    if (origin.includes("*.") && !/\*\.[^.:/]+\.[^.:/]/.test(origin))
      problems.push(
        `${place}: anybody can have a name in a top-level domain, a domain of your own is needed`,
      );
  }
  return problems;
}

function fits(origin: string, { prefix, suffix }: Pattern): boolean {
  if (!origin.startsWith(prefix) || !origin.endsWith(suffix)) return false;
  return LABEL.test(origin.slice(prefix.length, origin.length - suffix.length));
}
