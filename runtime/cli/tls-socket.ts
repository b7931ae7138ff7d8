/** TLS to the engine; files are named as Envoy finds them. */
export interface EngineTls {
  /** The certificates of authorities that may have signed the engine's. */
  readonly authority: string;
  /** Who the engine is: others that the authority knows are not. */
  readonly subject: SubjectName;
  /** Envoy's own certificate, for an engine that asks for one, and its key. */
  readonly certificate?: string;
  readonly key?: string;
}

/** A name in a certificate. */
export interface SubjectName {
  readonly kind: "DNS" | "IP_ADDRESS" | "URI";
  readonly value: string;
}

/** The `transport_socket` of a cluster. */
export function tlsSocket({ authority, subject, certificate, key }: EngineTls): Record<string, unknown> {
  const { kind, value } = subject;
  const isName = kind === "DNS" && !value.startsWith("*");
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      ...(isName && { sni: value }),
      common_tls_context: {
        alpn_protocols: ["h2"],
        ...(certificate && {
          tls_certificates: [
            { certificate_chain: { filename: certificate }, private_key: { filename: key } },
          ],
        }),
        validation_context: {
          trusted_ca: { filename: authority },
          match_typed_subject_alt_names: [{ san_type: kind, matcher: { exact: value } }],
        },
      },
    },
  };
}
