import type { HeadersView } from "@policy-engine/sdk";
import { decodeContent } from "../runtime/chain/content-coding.ts";
import { parseJson } from "../runtime/chain/json.ts";

/** What `decodeContent` may make of a body in a test: more than the engine allows by default. */
const LIMITS = { maxBytes: 256 * 1024 * 1024, maxRatio: Number.MAX_SAFE_INTEGER };

interface WithBody {
  readonly headers: HeadersView;
  readonly body: Uint8Array;
}

/** @private The body of a message as text, without its content-encoding. */
export function textOf({ headers, body }: WithBody): string {
  return new TextDecoder().decode(decodeContent(body, headers.get("content-encoding"), LIMITS));
}

/** @private The body of a message, parsed as JSON. */
export function jsonOf(message: WithBody): unknown {
  return parseJson(textOf(message));
}
