/** A transport that answers every message with the same one: `serve.ts NAME`. Prints its address. */
import { createLogger } from "../../runtime/observability/log.ts";
import { createHttp2Transport } from "../../runtime/transport/http2/server.ts";
import type { StreamAcceptor } from "../../runtime/transport/transport.ts";
import { createGrpcTransport } from "./grpc-js-transport.ts";

const ANSWER = new Uint8Array(60);
const MESSAGE_BYTES = 16 * 1024 * 1024;

const accept: StreamAcceptor = (_metadata, out) => ({
  message: () => out.send(ANSWER),
  halfClose: () => out.end(),
  cancel() {},
});

const create = process.argv[2] === "http2" ? createHttp2Transport : createGrpcTransport;
const transport = create({
  address: { kind: "tcp", host: "127.0.0.1", port: 0 },
  services: { "/bench.Echo/Process": accept },
  maxMessageBytes: MESSAGE_BYTES,
  log: createLogger({ level: "warn", format: "json", write: (line) => process.stderr.write(line) }),
});
console.log(await transport.listen());
