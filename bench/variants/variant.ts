import type { PeerName } from "../peers/build.ts";

/** The program that Envoy asks: none, the engine with a chain of policies, or a peer. */
export type Processor =
  | { readonly kind: "none" }
  | { readonly kind: "engine"; readonly policies: readonly object[] }
  | { readonly kind: "peer"; readonly name: PeerName; readonly bodies?: boolean };

/** A filter of Envoy's own that does work in the place of a processor. */
export type EnvoyFilter = "lua" | "header_mutation" | "jwt_authn";

/** One thing that is measured beside the others. */
export interface Variant {
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly processor: Processor;
  readonly filter?: EnvoyFilter;
  /** Bytes of the request's body. Default: none, the requests are GET. */
  readonly bodyBytes?: number;
  /** Headers that one request must show, so that none is measured that does nothing. */
  readonly sets: { readonly request: readonly string[]; readonly response: readonly string[] };
}
