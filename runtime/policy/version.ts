/** A version as people write it: `v` and a semantic version without build metadata, numbers of 1 to 9 digits. */
export const VERSION_PATTERN =
  "^v(?:0|[1-9][0-9]{0,8})\\.(?:0|[1-9][0-9]{0,8})\\.(?:0|[1-9][0-9]{0,8})(?:-[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$";

const VERSION = new RegExp(VERSION_PATTERN);
const MAJOR = /^v(?:0|[1-9][0-9]{0,8})$/;

/** How a version in a configuration is written: one version, the highest of a major version, or neither. */
export function kindOfVersion(text: string): "exact" | "major" | "invalid" {
  if (MAJOR.test(text)) return "major";
  return text.length <= 128 && VERSION.test(text) ? "exact" : "invalid";
}

/** Whether a version is of a major version such as `v1` and no prerelease. */
export function isReleaseOf(version: string, major: string): boolean {
  return version.startsWith(`${major}.`) && !version.includes("-");
}

/** Orders versions by semantic versioning; those that are none come first, as text. */
export function compareVersions(a: string, b: string): number {
  const [isA, isB] = [VERSION.test(a), VERSION.test(b)];
  if (isA && isB) return Bun.semver.order(a.slice(1), b.slice(1));
  if (isA !== isB) return isA ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}
