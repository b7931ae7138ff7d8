// Random and mutated input for the HTTP/2 server, and what must hold whatever comes.
import { AssemblyMemory } from "../../runtime/transport/http2/assembly.ts";
import { ConnectionError } from "../../runtime/transport/http2/frames.ts";
import { HpackDecoder } from "../../runtime/transport/http2/hpack/decoder.ts";
import { encodeHeaders } from "../../runtime/transport/http2/hpack/encode.ts";
import {
  HEADER_TABLE_BYTES,
  MAX_HEADER_LIST_BYTES,
  MAX_HEADERS,
} from "../../runtime/transport/http2/limits.ts";
import type { Random } from "../helpers/random.ts";
import {
  CALL,
  END_HEADERS,
  END_STREAM,
  frame,
  message,
  PADDED,
  PREFACE,
  reset,
  settings,
  windowUpdate,
} from "./frames.ts";
import { PlayedPeer } from "./played-peer.ts";

const COMPRESSION_ERROR = 9;
/** What a played connection may hold of answers, so that none grows. */
const UNREAD_BYTES = 200_000;
const ASSEMBLY_BYTES = 100_000;
const MESSAGE_BYTES = 50_000;
const CALL_BLOCK = encodeHeaders(CALL);
/** Blocks as real clients make them: with Huffman codes and the dynamic table (RFC 7541 appendix C.4, C.6). */
const REAL_BLOCKS = [
  "828684418cf1e3c2e5f23a6ba0ab90f4ff",
  "828684be5886a8eb10649cbf",
  "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
  "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
].map((hex) => Buffer.from(hex, "hex"));

/** Feeds blocks to one decoder until one cannot be read; says what must not have happened. */
export function fuzzHpack(random: Random): string | undefined {
  const decoder = new HpackDecoder();
  for (let blocks = 1 + random.below(4); blocks > 0; blocks--) {
    const block = random.chance(0.3) ? randomBytes(random, 60) : mutate(random, randomBlock(random));
    try {
      const { entries } = decoder.decode(block, 0, block.length);
      const size = entries.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0);
      if (size > MAX_HEADER_LIST_BYTES || entries.length > MAX_HEADERS) return "a list over the limit";
      if (decoder.table.size > HEADER_TABLE_BYTES) return "a table over the limit";
    } catch (error) {
      if (!(error instanceof ConnectionError) || error.code !== COMPRESSION_ERROR) return `thrown: ${error}`;
      return undefined;
    }
  }
  return undefined;
}

/** Plays a connection of mutated frames in random pieces; says what must not have happened. */
export function fuzzConnection(random: Random): string | undefined {
  const memory = new AssemblyMemory(ASSEMBLY_BYTES);
  const peer = new PlayedPeer({
    memory,
    logLevel: "error",
    maxMessageBytes: MESSAGE_BYTES,
    limits: { unreadBytes: UNREAD_BYTES },
    onMessage: ({ out }, bytes) => {
      if (random.chance(0.8)) out.send(bytes);
      if (random.chance(0.2)) out.end();
      if (random.chance(0.05)) out.fail("no");
    },
  });
  if (random.chance(0.1)) peer.room = random.below(200);
  const script = Buffer.concat([
    ...(random.chance(0.95) ? [PREFACE, settings()] : []),
    ...randomFrames(random),
  ]);
  const bytes = random.chance(0.7) ? mutate(random, script, random.chance(0.9) ? 24 : 0) : script;
  try {
    for (let at = 0; at < bytes.length; ) {
      const size = random.chance(0.5) ? bytes.length : 1 + random.below(50);
      peer.send(bytes.subarray(at, at + size));
      at += size;
      if (random.chance(0.05)) peer.pass(1_000);
      if (random.chance(0.05)) peer.connection.drain();
      if (random.chance(0.05)) peer.room += 1_000;
      if (random.chance(0.05)) peer.connection.drained();
    }
  } catch (error) {
    return `thrown: ${error instanceof Error ? error.stack : error}`;
  }
  if (peer.log.length > 0) return `logged: ${peer.log[0]}`;
  if (peer.connection.sender.unread > UNREAD_BYTES * 2) return "answers over the limit";
  if (peer.connection.sender.unread < 0) return "less than nothing unread";
  peer.connection.gone();
  if (memory.used !== 0) return `${memory.used} bytes are still held`;
  for (const { events } of peer.streams) {
    if (events.filter((event) => event === "cancel").length !== 1) return `a stream was told ${events}`;
    if (events.indexOf("cancel") !== events.length - 1) return `a stream was told more at its end: ${events}`;
  }
  return undefined;
}

function randomFrames(random: Random): Buffer[] {
  const frames: Buffer[] = [];
  let next = 1;
  const someId = () => (random.chance(0.9) ? 1 + 2 * random.below((next + 1) / 2) : random.below(20));
  for (let count = 1 + random.below(12); count > 0; count--) {
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
        frames.push(openStream(random, next));
        next += random.chance(0.95) ? 2 : random.below(5);
        break;
      case 3:
      case 4:
        frames.push(
          message(someId(), Buffer.alloc(random.below(300), 0x61), random.chance(0.3) ? END_STREAM : 0),
        );
        break;
      case 5:
        frames.push(randomData(random, someId()));
        break;
      case 6:
        frames.push(reset(someId(), random.below(20)));
        break;
      case 7:
        frames.push(
          windowUpdate(
            random.chance(0.5) ? 0 : someId(),
            random.below(random.chance(0.9) ? 100_000 : 2 ** 31),
          ),
        );
        break;
      case 8:
        frames.push(settings({ [random.below(8)]: random.below(random.chance(0.9) ? 100_000 : 2 ** 32) }));
        break;
      default:
        frames.push(
          frame(
            random.below(12),
            { flags: random.below(64), id: random.chance(0.5) ? 0 : someId() },
            randomBytes(random, 16),
          ),
        );
    }
  }
  return frames;
}

function openStream(random: Random, id: number): Buffer {
  const block = random.chance(0.8) ? CALL_BLOCK : randomBlock(random);
  const flags = random.chance(0.2) ? END_STREAM : 0;
  if (random.chance(0.9)) return frame("HEADERS", { id, flags: flags | END_HEADERS }, block);
  const at = random.below(block.length);
  return Buffer.concat([
    frame("HEADERS", { id, flags }, block.subarray(0, at)),
    frame("CONTINUATION", { id, flags: END_HEADERS }, block.subarray(at)),
  ]);
}

/** Parts of messages, large ones, padding, wrong lengths. */
function randomData(random: Random, id: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = random.chance(0.1) ? 1 : 0;
  prefix.writeUInt32BE(
    random.pick([0, 1, 10, 1_000, 40_000, MESSAGE_BYTES, MESSAGE_BYTES + 1, 2 ** 32 - 1]),
    1,
  );
  const payload = Buffer.concat([prefix, Buffer.alloc(random.pick([0, 1, 10, 1_000, 16_000]), 0x62)]);
  const bytes = payload.subarray(random.below(6), payload.length);
  const flags = random.chance(0.2) ? END_STREAM : 0;
  if (random.chance(0.8)) return frame("DATA", { id, flags }, bytes);
  const padding = random.below(20);
  return frame(
    "DATA",
    { id, flags: flags | PADDED },
    Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)]),
  );
}

function randomBlock(random: Random): Buffer {
  if (random.chance(0.4)) return random.pick(REAL_BLOCKS);
  const lines = Array.from({ length: random.below(6) }, () => {
    const name = random.pick([
      ":path",
      ":method",
      "te",
      "content-type",
      "x-a",
      "cookie",
      "content-length",
      "X",
    ]);
    return [name, random.pick(["", "trailers", "POST", "/", "5", "a".repeat(random.below(200))])] as const;
  });
  const block = encodeHeaders(lines);
  // Literals with the first byte of those that are added to the table, or a change of its size.
  if (random.chance(0.3) && block.length > 0) block[0] = 0x40 | (block[0]! & 0x3f);
  return random.chance(0.2) ? Buffer.concat([Buffer.from([0x20 | random.below(32)]), block]) : block;
}

/** Changes a few bytes, cuts, repeats or inserts, from a place on. */
function mutate(random: Random, original: Buffer, from = 0): Buffer {
  let bytes = Buffer.from(original);
  for (let changes = random.below(4); changes > 0 && bytes.length > from; changes--) {
    const at = from + random.below(bytes.length - from);
    const end = at + random.below(12);
    switch (random.below(5)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        bytes[at] = bytes[at]! ^ (1 << random.below(8));
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), randomBytes(random, 8), bytes.subarray(at)]);
    }
  }
  return bytes;
}

function randomBytes(random: Random, most: number): Buffer {
  return Buffer.from(Array.from({ length: random.below(most) }, () => random.below(256)));
}
