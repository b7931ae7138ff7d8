import type { Policy, PolicyFactory, RequestResult, RequestView, ResponseResult } from "@policy-engine/sdk";
import type { Params } from "./params.gen.ts";

/** Where other policies and conditions find the id. */
const METADATA_KEY = "requestId";

/** What an id may look like to be kept: it goes into logs, headers and other systems. */
const VALID = /^[A-Za-z0-9][A-Za-z0-9._:/+=@~-]{0,127}$/;

/** The header that Envoy makes and, at the edge, takes away from clients. */
const ENVOYS_OWN = "x-request-id";

/** Makes sure that a request has an id: one that came with it, if that can be trusted, else a new one. */
export const getPolicy: PolicyFactory<Params> = (_metadata, params) => {
  const name = params.header.toLowerCase();
  /** Of this header alone: another such policy in the list has an id of its own. */
  const ownKey = `${METADATA_KEY}:${name}`;
  const trusted = params.trustIncoming ?? name === ENVOYS_OWN;
  const generate = params.generator === "uuidv7" ? newUuidV7 : newUuidV4;

  const incoming = (request: Pick<RequestView, "headers">): string | undefined => {
    const lines = trusted ? request.headers.getAll(name) : [];
    return lines.length === 1 && VALID.test(lines[0]!) ? lines[0] : undefined;
  };
  const policy: Policy = {
    onRequest(ctx): RequestResult {
      const kept = incoming(ctx);
      const id = kept ?? generate();
      ctx.metadata.set(METADATA_KEY, id);
      if (params.echo) ctx.metadata.set(ownKey, id);
      return kept === undefined ? { setHeaders: { [name]: id } } : undefined;
    },
  };
  if (params.echo) {
    policy.onResponse = (ctx): ResponseResult => {
      const known = ctx.metadata.get(ownKey);
      // A denial in front of this policy: its request had no id of this policy's yet.
      const id =
        typeof known === "string" && VALID.test(known) ? known : (incoming(ctx.request) ?? generate());
      return { setHeaders: { [name]: id } };
    };
  }
  return policy;
};

/** The schema says it all. */
export function validate(): string[] {
  return [];
}

function newUuidV4(): string {
  return crypto.randomUUID();
}

/** RFC 9562 section 5.7: begins with the time in milliseconds. */
function newUuidV7(): string {
  return Bun.randomUUIDv7();
}
