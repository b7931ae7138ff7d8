import { TEST_TLS } from "./test-tls.ts";

/** What it answers; the signal is aborted when the client goes away. */
export type JwksAnswer = (request: Request) => Response | Promise<Response>;

export interface JwksServerOptions {
  /** Serves HTTPS with the certificate of `TEST_AUTHORITY`. Default: false. */
  readonly tls?: boolean;
  /** Default: any that is free. */
  readonly port?: number;
}

/** An issuer's key server that does what a test wants it to do. */
export class JwksServer {
  /** Requests so far. */
  readonly requests: Request[] = [];
  /** Changed by tests as they go. */
  answer: JwksAnswer;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(answer: JwksAnswer | readonly object[], { tls = false, port = 0 }: JwksServerOptions = {}) {
    this.answer = typeof answer === "function" ? answer : keysAnswer(answer);
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      // A test of a slow server must not end because this one gives up.
      idleTimeout: 0,
      ...(tls && { tls: TEST_TLS }),
      fetch: (request) => {
        this.requests.push(request);
        return this.answer(request);
      },
    });
  }

  get url(): string {
    return new URL("/jwks", this.#server.url).href;
  }

  publish(keys: readonly object[], headers: Readonly<Record<string, string>> = {}): void {
    this.answer = keysAnswer(keys, headers);
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function keysAnswer(keys: readonly object[], headers: Readonly<Record<string, string>> = {}): JwksAnswer {
  return () => Response.json({ keys }, { headers });
}
