import type { PolicyFactory, RequestChanges } from "@policy-engine/sdk";

interface Params {
  readonly see: string;
  readonly append: string;
  readonly phases: readonly ("request" | "response")[];
}

/** What both kinds of results have in common. */
type Changes = Pick<RequestChanges, "body" | "setHeaders">;

export const getPolicy: PolicyFactory<Params> = (_metadata, { see, append, phases }) => {
  const work = ({ body }: { readonly body: Uint8Array | null }): Changes => {
    const bytes = body ?? new Uint8Array(0);
    return {
      setHeaders: { [see]: String(bytes.length) },
      ...(append !== "" && { body: Buffer.concat([bytes, Buffer.from(append, "hex")]) }),
    };
  };
  return {
    ...(phases.includes("request") && { onRequest: work }),
    ...(phases.includes("response") && { onResponse: work }),
  };
};
