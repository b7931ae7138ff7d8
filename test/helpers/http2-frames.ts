// HTTP/2 frames by hand, for a request that libraries do not send: they put an empty DATA frame before trailers.
import { connect } from "node:net";
import { ByteReader } from "./byte-reader.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const STREAM = 1;

/** Sends a POST of HEADERS and trailers without any DATA, and returns what DATA the response has. */
export async function headersAndTrailers(port: number, path: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  const reader = new ByteReader(socket);
  const headers = literals([
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", "test.example"],
    [":path", path],
    ["te", "trailers"],
  ]);
  socket.write(
    Buffer.concat([
      Buffer.from(PREFACE),
      frame({ type: SETTINGS, flags: 0, stream: 0 }),
      frame({ type: HEADERS, flags: END_HEADERS, stream: STREAM }, headers),
      frame({ type: HEADERS, flags: END_HEADERS | END_STREAM, stream: STREAM }, literals([["x-after", "t"]])),
    ]),
  );
  try {
    return await readData(reader);
  } finally {
    socket.destroy();
  }
}

async function readData(reader: ByteReader): Promise<string> {
  const parts: Buffer[] = [];
  for (;;) {
    const head = await reader.readExactly(9);
    const payload = await reader.readExactly(head.readUIntBE(0, 3));
    const [type, flags] = [head[3], head[4] ?? 0];
    if (head.readUInt32BE(5) !== STREAM) continue;
    if (type === RST_STREAM) throw new Error("Cannot read the response: the stream was reset");
    if (type === DATA) parts.push(payload);
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0)
      return Buffer.concat(parts).toString();
  }
}

function frame(
  { type, flags, stream }: { type: number; flags: number; stream: number },
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Header lines in HPACK as literals that neither use nor change its table (RFC 7541 section 6.2.2). */
function literals(lines: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    lines.flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  );
}
