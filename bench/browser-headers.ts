/** Headers as a browser behind a proxy sends them, for the benchmarks of parts. */
export const BROWSER_HEADERS: readonly (readonly [string, string])[] = [
  ["user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"],
  ["accept", "application/json, text/plain, */*"],
  ["accept-language", "en-GB,en;q=0.8,de;q=0.5"],
  ["accept-encoding", "gzip, deflate, br, zstd"],
  ["referer", "https://shop.example.com/orders"],
  ["cookie", "session=4fd1c3a9b2; theme=dark; consent=yes"],
  ["sec-fetch-dest", "empty"],
  ["sec-fetch-mode", "cors"],
  ["sec-fetch-site", "same-origin"],
  ["cache-control", "no-cache"],
  ["x-forwarded-for", "203.0.113.7"],
  ["x-forwarded-proto", "https"],
  ["x-request-id", "0d9ad5c7-0b5f-4d3c-9a37-2d6f5a1be6ad"],
];
