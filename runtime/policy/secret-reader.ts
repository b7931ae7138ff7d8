/** Where a secret is kept instead of in the configuration. */
export type SecretReference = { readonly fromFile: string } | { readonly fromEnv: string };

export interface SecretReader {
  /** The secret's text, or why it cannot be had; the problem never quotes the secret. */
  read(reference: SecretReference): { value: string } | { problem: string };
}

export interface SecretReaderOptions {
  /** Folder that relative paths start from: that of the configuration file. */
  readonly baseDir: string;
  /** Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export function createSecretReader(_options: SecretReaderOptions): SecretReader {
  throw new Error("not written yet");
}
