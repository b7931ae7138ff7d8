/** The engine cannot start, in words for whoever runs it; `cause` is for those who want more. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** What a code of the system means for an address. */
const MEANINGS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the address is in use, a free one is needed",
  EADDRNOTAVAIL: "the address is not one of this machine, a local one is needed",
  EACCES: "permission is denied, an address that this user may use is needed",
  EPERM: "permission is denied, an address that this user may use is needed",
  EROFS: "the file system is read-only, a folder that can be written is needed",
  ENOENT: "the folder of the socket does not exist, an existing one is needed",
  ENOTDIR: "a part of the path is not a folder, an existing folder is needed",
  ENOTFOUND: "the host name is unknown, an address of this machine is needed",
};

/** What went wrong when `server` was to listen on `address`, as one message. */
export function listenError(server: string, address: string, error: unknown): StartError {
  const meaning = MEANINGS[codeOf(error) ?? ""];
  // A message of ours says what is needed already.
  if (error instanceof Error && error.message.startsWith("Cannot listen on ")) {
    const [, said = error.message] = /": (.*)$/.exec(error.message) ?? [];
    if (meaning === undefined || said.startsWith("folder ")) {
      return new StartError(`${subject(server, address)}: ${said}`, { cause: error });
    }
  }
  const reason = meaning ?? `${messageOf(error)}, an address that can be listened on is needed`;
  return new StartError(`${subject(server, address)}: ${reason}`, { cause: error });
}

function subject(server: string, address: string): string {
  return `Cannot start the ${server} server on ${JSON.stringify(address)}`;
}

/** The system's code of an error, or of what caused it; some have it in their text only. */
function codeOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as { code?: unknown };
    if (typeof code === "string" && Object.hasOwn(MEANINGS, code)) return code;
    const named = Object.keys(MEANINGS).find((name) =>
      new RegExp(`\\b${name}\\b`).test((at as Error).message),
    );
    if (named !== undefined) return named;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
