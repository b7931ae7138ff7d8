// Something that speaks like Envoy, but sends what it likes in the order it likes, and remembers what the answers
// would have made it let pass.
import { EnvoyMessage } from "../../runtime/kernel/codec.ts";
import type { Base, Direction, ModelMessage, Shape } from "./exchange-model.ts";
import { type DrivenStream, GET, settle } from "./kernel.ts";
import type { Random } from "./random.ts";

/** Every message there is, in the order of a legal exchange. */
const KINDS = [
  "request_headers",
  "request_body",
  "request_trailers",
  "response_headers",
  "response_body",
  "response_trailers",
] as const;
const MODES: Readonly<Record<string, object>> = {
  wide: { protocolConfig: { requestBodyMode: 2, responseBodyMode: 2 } },
  streamed: { protocolConfig: { requestBodyMode: 1, responseBodyMode: 1 } },
};
const BUFFERED = 2;

interface SentMessage {
  readonly kind: (typeof KINDS)[number] | "garbage" | "half-close" | "cancel";
  readonly endOfStream: boolean;
  readonly body: string;
}

/** See the head of the file. */
export class UnrulyEnvoy {
  readonly sent: SentMessage[] = [];
  readonly #stream: DrivenStream;
  readonly #random: Random;
  readonly #base: Base;

  constructor(stream: DrivenStream, { random, base }: { random: Random; base: Base }) {
    this.#stream = stream;
    this.#random = random;
    this.#base = base;
  }

  /** Sends everything, and goes away in the end. */
  async play(): Promise<void> {
    for (const message of this.#script()) {
      this.sent.push(message);
      this.#send(message);
      if (this.#random.chance(0.6)) await settle();
    }
    for (let turn = 0; turn < 4; turn++) await settle();
    this.#stream.incoming.cancel();
    await settle();
  }

  /** A legal exchange with some mistakes. */
  #script(): SentMessage[] {
    const random = this.#random;
    const kinds: SentMessage["kind"][] = KINDS.filter(() => random.chance(0.75));
    for (let mistakes = random.pick([0, 0, 1, 1, 2, 3]); mistakes > 0; mistakes--) {
      const mistake = random.pick([...KINDS, "garbage", "half-close", "cancel"] as const);
      kinds.splice(random.below(kinds.length + 1), random.below(2), mistake);
    }
    return kinds.map((kind) => {
      const body = kind.endsWith("body") ? random.pick(["", "a", "bc"]) : "";
      return { kind, endOfStream: random.chance(0.4), body };
    });
  }

  #send({ kind, endOfStream, body }: SentMessage): void {
    const { incoming } = this.#stream;
    if (kind === "half-close") incoming.halfClose();
    else if (kind === "cancel") incoming.cancel();
    else if (kind === "garbage") {
      incoming.message(garbage(this.#random));
    } else {
      const headers = kind === "request_headers" ? GET : [[":status", "200"] as const];
      this.#stream.send(kind, { endOfStream, body, headers, extra: MODES[this.#base] ?? {} });
    }
  }

  /** The message that Envoy was told to let pass; undefined if it was not. */
  wentOn(direction: Direction): ModelMessage | undefined {
    const { answers, denial, ended } = this.#stream;
    const own = answers.filter(({ response }) => response.case?.startsWith(direction));
    const [headers] = own;
    const mode = headers?.modeOverride;
    const held =
      headers?.response.case === `${direction}Headers` &&
      (direction === "request" ? mode?.requestBodyMode : mode?.responseBodyMode) === BUFFERED;
    const bodies = own.filter(({ response }) => response.case === `${direction}Body`).length;
    // To end the stream well says "go on" too.
    const released = ended && denial === undefined;
    if (!released && (own.length === 0 || (held && own.length === 1))) return undefined;
    const received = this.sent.filter(({ kind }) => kind === `${direction}_body`).slice(0, bodies);
    const content = received.map(({ body }) => body).join("");
    return {
      lines: [],
      shape: this.#shape(direction, { held, bodies: received }),
      content,
      unbufferable: false,
    };
  }

  #shape(direction: Direction, { held, bodies }: { held: boolean; bodies: readonly SentMessage[] }): Shape {
    const headers = this.sent.find(({ kind }) => kind === `${direction}_headers`);
    const isEmpty = bodies.every(({ body }) => body === "");
    if (isEmpty && headers?.endOfStream !== false) return "nothing";
    if (bodies.length > 0) return bodies.at(-1)!.endOfStream ? "data" : "data and trailers";
    return held ? "trailers" : "data";
  }
}

/** Bytes that are no message, or one of no kind. */
function garbage(random: Random): Uint8Array {
  const bytes = Uint8Array.from({ length: random.below(40) }, () => random.below(256));
  try {
    const { kind, observed } = new EnvoyMessage(bytes);
    // By chance it is something that Envoy says: then it is not garbage.
    return kind === undefined && !observed ? bytes : garbage(random);
  } catch {
    return bytes;
  }
}
