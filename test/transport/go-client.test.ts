// The server and a client on grpc-go.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildGoProgram } from "../../scripts/h2spec.ts";
import { waitFor } from "../helpers/wait.ts";
import { makeAuthority, makeCertificate } from "./certificates.ts";
import { type InteropServer, startInteropServer } from "./interop-server.ts";

const CASES = [
  ...["health", "streams", "deadline", "cancellation", "large", "metadata", "trailers", "limit", "resets"],
  ...["unknown", "compressed", "goaway"],
];
const LONG_MS = 600_000;

let client = "";
let folder = "";
beforeAll(async () => {
  client = await buildGoProgram("transport-client", ".");
  folder = await mkdtemp(join(tmpdir(), "go-client-"));
}, LONG_MS);
afterAll(() => rm(folder, { recursive: true }));

async function run(
  server: InteropServer,
  cases: readonly string[],
  flags: readonly string[] = [],
): Promise<string[]> {
  const child = Bun.spawn([client, "-address", server.address, ...flags, ...cases], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  return (await child.stdout.text()).trim().split("\n");
}

describe("issue 6: grpc-go", () => {
  test(
    "unary health, streams, deadlines, cancellation, large messages, metadata, trailers, limits, resets, GOAWAY",
    async () => {
      const server = await startInteropServer();
      try {
        expect(await run(server, CASES)).toEqual(CASES.map((name) => `ok ${name}`));
        await server.stopped;
        await waitFor("the end of every call", () => server.ended === server.begun);
        expect(server.begun).toBeGreaterThan(5_000);
      } finally {
        await server.transport.stop(0);
      }
    },
    LONG_MS,
  );

  test(
    "the same over mutual TLS",
    async () => {
      const authority = await makeAuthority(folder, "authority");
      const own = await makeCertificate(folder, "server", authority);
      const other = await makeCertificate(folder, "client", authority);
      const tls = { certificate: own.cert, key: own.key, clientCertificates: authority.cert };
      const server = await startInteropServer({ tls });
      try {
        const flags = ["-ca", authority.cert, "-cert", other.cert, "-key", other.key];
        expect(await run(server, CASES, flags)).toEqual(CASES.map((name) => `ok ${name}`));
        await server.stopped;
      } finally {
        await server.transport.stop(0);
      }
    },
    LONG_MS,
  );

  test(
    "the same over a Unix socket",
    async () => {
      const server = await startInteropServer({ address: { kind: "unix", path: join(folder, "a.sock") } });
      try {
        expect(await run(server, CASES)).toEqual(CASES.map((name) => `ok ${name}`));
      } finally {
        await server.transport.stop(0);
      }
    },
    LONG_MS,
  );
});
