// The fixed work: what every request of every variant looks like.

/** Envoy's route, and the key of the engine's. */
export const ROUTE = "bench";
export const PATH = `/${ROUTE}/orders/4711?expand=items,customer&fields=id,total,currency`;
/** The upstream keeps requests below this until it is told to answer. */
export const HELD_PATH = `/${ROUTE}/hold`;
/** The upstream answers with the request as it saw it. */
export const SHOW_PATH = `/${ROUTE}/show`;

/** Twenty headers with `user-agent`, which h2load sends by itself; the token is there in every variant. */
export function requestHeaders(token: string): readonly (readonly [name: string, value: string])[] {
  return [
    ["accept", "application/json, text/plain;q=0.9, */*;q=0.5"],
    ["accept-encoding", "gzip, deflate, br, zstd"],
    ["accept-language", "en-GB,en;q=0.9,de;q=0.7"],
    ["authorization", `Bearer ${token}`],
    ["cache-control", "no-cache"],
    ["cookie", "session=7d9f0c1e5b3a48e2; theme=dark; locale=en-GB"],
    ["dnt", "1"],
    ["origin", "https://shop.example.com"],
    ["priority", "u=1, i"],
    ["referer", "https://shop.example.com/orders"],
    ["sec-fetch-dest", "empty"],
    ["sec-fetch-mode", "cors"],
    ["sec-fetch-site", "same-site"],
    ["traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ["x-api-version", "2026-01-01"],
    ["x-client", "shop-web/4.18.2"],
    ["x-device", "d1f0a6b2-6f0e-4a86-9a51-9d7a0a1c8f33"],
    ["x-region", "eu-central-1"],
    ["x-tenant", "acme"],
  ];
}
