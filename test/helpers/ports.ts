import { createServer } from "node:net";

/** Below the range from which systems hand out ports of outgoing connections, so that none of those takes it. */
const FIRST = 12_000;
const COUNT = 18_000;
const ATTEMPTS = 100;

const given = new Set<number>();

/** A loopback port that nobody listens on, different at each call. Where a program accepts port 0, use that. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
  throw new Error(`Cannot find a free port: ${ATTEMPTS} tries failed, a machine with free ports is needed`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
