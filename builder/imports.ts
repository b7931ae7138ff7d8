import { isAbsolute, join, resolve, sep } from "node:path";

/** An import of one file by another; both absolute. */
export interface ImportEdge {
  readonly from: string;
  readonly to: string;
  /** As it is written. */
  readonly specifier: string;
}

/** Reads the imports from the bundler's metafile, whose paths are relative to `base`. */
export function importsOf(metafile: unknown, base: string): ImportEdge[] {
  const { inputs } = metafile as {
    inputs: Record<string, { imports: { path: string; original?: string; external?: boolean }[] }>;
  };
  return Object.entries(inputs).flatMap(([from, { imports }]) =>
    imports
      .filter(({ external, path }) => external !== true && !/^(?:node|bun):|^bun$/.test(path))
      .map(({ path, original }) => ({
        from: resolve(base, from),
        to: resolve(base, path),
        specifier: original ?? path,
      })),
  );
}

/** Whether a path is the folder or in it. Both absolute, without links. */
export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** Whether what is written in an import leads out of the folder of the policy that the file belongs to. */
export function leadsOut(specifier: string, options: { file: string; folder: string }): boolean {
  if (isAbsolute(specifier) || specifier.startsWith("file:")) return true;
  if (!/^\.\.?(?:\/|$)/.test(specifier)) return false;
  return !isInside(join(options.file, "..", specifier), options.folder);
}
