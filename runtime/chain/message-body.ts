import { type ContentLimits, decodeContent } from "./content-coding.ts";
import { parseJson } from "./json.ts";

/** How a step wants a body: not at all, decoded, or as it came. */
export type BodyNeed = "none" | "buffered" | "raw";

const EMPTY = new Uint8Array(0);
const decoder = new TextDecoder();

/**
 * The body of one message: as it came, as it reads, and as policies left it. It is there or not yet; a message
 * without one has an empty one.
 */
export class MessageBody {
  #content: Uint8Array | undefined;
  /** `content-encoding` of the content; undefined when it is plain. */
  #coding: string | undefined;
  #decoded: Uint8Array | undefined;
  #text: string | undefined;
  #json: { readonly value: unknown } | undefined;
  #unsent = false;

  /** Whether it is there. */
  get arrived(): boolean {
    return this.#content !== undefined;
  }

  /** Whether it was replaced since Envoy was last told. */
  get unsent(): boolean {
    return this.#unsent;
  }

  /** Whether it can be read decoded as it stands. */
  get decoded(): boolean {
    return this.#coding === undefined || this.#decoded !== undefined;
  }

  /** What is sent on; empty while it has not arrived. */
  get content(): Uint8Array {
    return this.#content ?? EMPTY;
  }

  /** Takes the body as Envoy sent it. */
  arrive(content: Uint8Array, coding?: string): void {
    this.#content = content;
    this.#coding = coding;
  }

  /**
   * Decodes the content, once.
   * @throws {ContentCodingError} If it is broken, of an unknown coding, or too large.
   */
  decode(limits: ContentLimits): Uint8Array {
    this.#decoded ??=
      this.#coding === undefined ? this.content : decodeContent(this.content, this.#coding, limits);
    return this.#decoded;
  }

  /**
   * What a step that asked for it reads; null when it did not ask, or the body is not there. Null too where a step
   * looks again at one that another has coded anew since: coded bytes must not pass for the plain ones.
   */
  read(need: BodyNeed): Uint8Array | null {
    if (need === "none" || this.#content === undefined) return null;
    if (need === "raw" || this.#content.length === 0) return this.#content;
    return this.decoded ? (this.#decoded ?? this.#content) : null;
  }

  text(need: BodyNeed): string | null {
    if (this.read(need) === null) return null;
    if (need === "raw") return decoder.decode(this.content);
    this.#text ??= decoder.decode(this.#decoded ?? this.content);
    return this.#text;
  }

  /** @throws {SyntaxError} If it is not JSON, or too deep. */
  json(need: BodyNeed): unknown {
    const text = this.text(need);
    if (text === null) return null;
    if (need === "raw") return parseJson(text);
    this.#json ??= { value: parseJson(text) };
    return this.#json.value;
  }

  /** Puts another body in its place. What a step that reads decoded bodies writes is plain. */
  replace(content: Uint8Array, need: BodyNeed): void {
    this.#content = content;
    this.#unsent = true;
    if (need === "buffered") this.#coding = undefined;
    this.#decoded = undefined;
    this.#text = undefined;
    this.#json = undefined;
  }

  /** Lets go of it where nobody reads it any more. */
  drop(): void {
    this.replace(EMPTY, "buffered");
    this.#unsent = false;
  }

  /** Notes that Envoy has been told. */
  settle(): void {
    this.#unsent = false;
  }
}
