/**
 * An ext_proc server on grpc-js and protobuf-es that does nothing but answer: one header set each way. What an
 * engine on that transport cannot be faster than.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import {
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../runtime/gen/envoy/service/ext_proc/v3/external_processor_pb.ts";
import { listeningPort } from "../arguments.ts";
import { REQUEST_ANSWER, RESPONSE_ANSWER } from "../fixed-answers.ts";

/** Envoy may reset its streams; grpc-js has no option against the limit of the HTTP/2 server below it. */
const NO_RESET_LIMIT = { streamResetBurst: 1e9, streamResetRate: 1e9 };

// Built once: the server does no work of its own.
const answers = {
  requestHeaders: create(ProcessingResponseSchema, REQUEST_ANSWER),
  responseHeaders: create(ProcessingResponseSchema, RESPONSE_ANSWER),
};

function process(call: grpc.ServerDuplexStream<typeof request, ProcessingResponse>): void {
  call.on("data", ({ request: message }: typeof request) => {
    if (message.case === "requestHeaders" || message.case === "responseHeaders") {
      call.write(answers[message.case]);
      return;
    }
    const details = "a message that was not asked for";
    call.emit("error", { code: grpc.status.INVALID_ARGUMENT, details });
  });
  call.on("end", () => call.end());
  call.on("error", () => {});
}

/** Only its type is used. */
const request = create(ProcessingRequestSchema);

const server = new grpc.Server({ "grpc.enable_channelz": 0, "grpc.max_concurrent_streams": 2 ** 20 });
Object.assign((server as unknown as { commonServerOptions: object }).commonServerOptions, NO_RESET_LIMIT);
server.register(
  "/envoy.service.ext_proc.v3.ExternalProcessor/Process",
  process,
  (response: ProcessingResponse) => {
    const bytes = toBinary(ProcessingResponseSchema, response);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  },
  (bytes) => fromBinary(ProcessingRequestSchema, bytes),
  "bidi",
);
server.bindAsync(`127.0.0.1:${listeningPort()}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log("ready");
});
