// Which messages Envoy shall still send for this exchange. The base configuration is wide; each first answer
// narrows it. Every field is given: a body mode that is left out means NONE to Envoy, and a header mode that is
// left out means whatever its configuration says.
import { BODY_SEND_MODE } from "./codec.ts";
import type { ModeOverride } from "./encode-answer.ts";

/** HeaderSendMode of Envoy's ProcessingMode. */
const SEND = 1;
const SKIP = 2;

/** What is still wanted of an exchange, beside the headers that are answered. */
export interface Wants {
  readonly requestBody: boolean;
  readonly response: boolean;
  readonly responseBody: boolean;
}

/** The override that asks for that and for nothing else. With a body, its trailers: they may come instead of it. */
export function modeOverride({ requestBody, response, responseBody }: Wants): ModeOverride {
  return OVERRIDES[Number(requestBody) + 2 * Number(response) + 4 * Number(responseBody)]!;
}

/** Every override there is, so that none is made for an exchange. */
const OVERRIDES: readonly ModeOverride[] = Array.from({ length: 8 }, (_, bits) => {
  const { buffered, none } = BODY_SEND_MODE;
  const [requestBody, response, responseBody] = [bits & 1, bits & 2, bits & 4];
  return [
    SEND,
    response ? SEND : SKIP,
    requestBody ? buffered : none,
    responseBody ? buffered : none,
    requestBody ? SEND : SKIP,
    responseBody ? SEND : SKIP,
  ];
});
