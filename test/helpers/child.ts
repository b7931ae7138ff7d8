/** A program must go within this time after SIGKILL follows; a drain that is tested is awaited elsewhere. */
const KILL_AFTER_MS = 10_000;

interface ChildOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A program that runs beside the tests, with everything it wrote. */
export class Child {
  /** Resolves to the exit code, or to 128 plus the signal's number. */
  readonly exited: Promise<number>;
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #lines: string[] = [];
  readonly #read: Promise<unknown>;
  #exitCode: number | undefined;

  constructor(command: readonly string[], options: ChildOptions = {}) {
    this.#process = Bun.spawn([...command], {
      ...options,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#read = Promise.all([this.#collect(this.#process.stdout), this.#collect(this.#process.stderr)]);
    this.exited = this.#process.exited.then(async (code) => {
      await this.#read;
      this.#exitCode = code;
      return code;
    });
    running.add(this);
    void this.exited.finally(() => running.delete(this));
  }

  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Complete lines of both outputs so far, in the order they were read. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  output(): string {
    return this.#lines.join("\n");
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** SIGTERM, and SIGKILL if that is not enough. */
  async kill(): Promise<number> {
    this.#process.kill("SIGTERM");
    const last = setTimeout(() => this.#process.kill("SIGKILL"), KILL_AFTER_MS);
    try {
      return await this.exited;
    } finally {
      clearTimeout(last);
    }
  }

  /** For an exit that cannot wait. */
  killNow(): void {
    this.#process.kill("SIGKILL");
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      this.#lines.push(...parts);
    }
    if (rest !== "") this.#lines.push(rest);
  }
}

const running = new Set<Child>();

/** Ends whatever a test or the demo left running; for the way out of the process. */
export function killAllNow(): void {
  for (const child of running) child.killNow();
}
