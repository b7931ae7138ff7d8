/**
 * The ceiling: the engine's own transport, which answers the first message of a stream with one fixed message and
 * the second with another. It looks at nothing: what kernel, policies and conditions cost is the distance to it.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { ProcessingResponseSchema } from "../../../runtime/gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import { PROCESS_METHOD } from "../../../runtime/kernel/processor.ts";
import { createLogger } from "../../../runtime/observability/log.ts";
import { createHttp2Transport } from "../../../runtime/transport/http2/server.ts";
import type { StreamAcceptor } from "../../../runtime/transport/transport.ts";
import { listeningPort } from "../arguments.ts";
import { REQUEST_ANSWER, RESPONSE_ANSWER } from "../fixed-answers.ts";

const MESSAGE_BYTES = 16 * 1024 * 1024;
const toRequest = toBinary(ProcessingResponseSchema, create(ProcessingResponseSchema, REQUEST_ANSWER));
const toResponse = toBinary(ProcessingResponseSchema, create(ProcessingResponseSchema, RESPONSE_ANSWER));

const accept: StreamAcceptor = (_metadata, out) => {
  let first = true;
  return {
    message() {
      out.send(first ? toRequest : toResponse);
      // As the engine does: nothing more is wanted.
      if (!first) out.end();
      first = false;
    },
    halfClose: () => out.end(),
    cancel() {},
  };
};

const transport = createHttp2Transport({
  address: { kind: "tcp", host: "127.0.0.1", port: listeningPort() },
  services: { [PROCESS_METHOD]: accept },
  maxMessageBytes: MESSAGE_BYTES,
  log: createLogger({ level: "warn", format: "json", write: (line) => process.stderr.write(line) }),
});
await transport.listen();
console.log("ready");
