import { type HttpServer, type HttpServerSettings, startHttpServer } from "./admin/http-server.ts";
import { claimSocket, type ListenAddress, withPrivateFiles } from "./transport/listen-address.ts";

/** Starts an HTTP server where the configuration says; a socket's file gets mode 0600. */
export async function startHttpOn(
  address: ListenAddress,
  settings: Omit<HttpServerSettings, "endpoint">,
): Promise<HttpServer> {
  if (address.kind === "tcp") {
    return startHttpServer({ ...settings, endpoint: { hostname: address.host, port: address.port } });
  }
  const { path } = address;
  await claimSocket(path);
  return await withPrivateFiles(path, async () => startHttpServer({ ...settings, endpoint: { unix: path } }));
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: ListenAddress): boolean {
  if (address.kind === "unix") return true;
  const { host } = address;
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
