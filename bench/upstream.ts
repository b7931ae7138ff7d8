/**
 * What stands behind Envoy in every run: an HTTP/1.1 server that gives one fixed answer, as cheaply as it can, and
 * does nothing else. Run by itself (`bun bench/upstream.ts PORT`), so that its CPU can be told from the others'.
 */
import type { Socket } from "bun";
import { HELD_PATH, SHOW_PATH } from "./load/work.ts";

/** With `x-envoy-upstream-service-time`, which Envoy adds, a response has twelve headers. */
const HEADERS = [
  "content-type: application/json",
  "cache-control: private, max-age=0, must-revalidate",
  "date: Thu, 01 Jan 2026 00:00:00 GMT",
  'etag: "5f2c-61b1d2f8a7c40"',
  "last-modified: Wed, 31 Dec 2025 23:00:00 GMT",
  "vary: accept-encoding, origin",
  "x-content-type-options: nosniff",
  "x-service: orders",
  "x-service-version: 2026.1.0",
  "x-trace: 4bf92f3577b34da6a3ce929d0e0e4736",
];
const ANSWER = Buffer.from(response('{"order":4711,"total":"42"}'));

const END_OF_HEAD = "\r\n\r\n";
/** Where the paths that mean something differ from the one that is measured. */
const SECTION = "/bench/".length;
const GET = "G".charCodeAt(0);

interface Connection {
  /** Bytes of the present request's body still to come. */
  bodyLeft: number;
  /** A head that has not come whole. */
  rest: Buffer | undefined;
  /** What the kernel would not take yet. */
  unsent: number;
  /** The head of a request that is to be shown. */
  shown: string | undefined;
}

export interface FixedUpstream {
  readonly port: number;
  /** Requests that wait for `release`. */
  readonly held: number;
  /** Answers all that wait. */
  release(): void;
  stop(): void;
}

/** Starts the server on a loopback port; 0 takes a free one. */
export function startFixedUpstream(port = 0): FixedUpstream {
  const held = new Set<Socket<Connection>>();
  const server = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(socket) {
        socket.data = { bodyLeft: 0, rest: undefined, unsent: 0, shown: undefined };
      },
      data(socket, bytes) {
        take(socket, { bytes, held });
      },
      drain(socket) {
        flush(socket);
      },
      close(socket) {
        held.delete(socket);
      },
    },
  });
  return {
    port: server.port,
    get held() {
      return held.size;
    },
    release() {
      for (const socket of held) answer(socket);
      held.clear();
    },
    stop: () => server.stop(true),
  };
}

function take(
  socket: Socket<Connection>,
  { bytes, held }: { bytes: Buffer; held: Set<Socket<Connection>> },
): void {
  const state = socket.data;
  let left = state.rest === undefined ? bytes : Buffer.concat([state.rest, bytes]);
  state.rest = undefined;
  while (left.length > 0) {
    if (state.bodyLeft > 0) {
      const part = Math.min(state.bodyLeft, left.length);
      state.bodyLeft -= part;
      left = left.subarray(part);
      if (state.bodyLeft === 0) finish(socket);
      continue;
    }
    const end = left.indexOf(END_OF_HEAD);
    if (end < 0) {
      state.rest = left;
      return;
    }
    state.bodyLeft = left[0] === GET ? 0 : bodyLength(left.toString("latin1", 0, end));
    if (startsWith(left, SHOW_PATH)) state.shown = left.toString("latin1", 0, end);
    if (startsWith(left, HELD_PATH)) held.add(socket);
    else if (state.bodyLeft === 0) finish(socket);
    left = left.subarray(end + END_OF_HEAD.length);
  }
}

function bodyLength(head: string): number {
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error("Cannot read a request: it has no content-length, one is needed");
  return Number(length);
}

/** Whether a request is for a path that begins so. */
function startsWith(request: Buffer, path: string): boolean {
  const at = request.indexOf(" ") + 1;
  return request[at + SECTION] === path.charCodeAt(SECTION) && request.indexOf(path) === at;
}

/** The request has come whole. */
function finish(socket: Socket<Connection>): void {
  const { shown } = socket.data;
  if (shown === undefined) return answer(socket);
  socket.data.shown = undefined;
  const body = /\r\ncontent-length: (\d+)/i.exec(shown)?.[1] ?? "0";
  const text = `${shown}\r\nbody: ${body}`;
  socket.write(response(text));
}

function response(body: string): string {
  return `HTTP/1.1 200 OK\r\n${HEADERS.join("\r\n")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function answer(socket: Socket<Connection>): void {
  socket.data.unsent += ANSWER.length;
  flush(socket);
}

/** What is unsent is always the end of some number of answers. */
function flush(socket: Socket<Connection>): void {
  const state = socket.data;
  while (state.unsent > 0) {
    const part = state.unsent % ANSWER.length || ANSWER.length;
    const sent = socket.write(ANSWER, ANSWER.length - part, part);
    if (sent <= 0) return;
    state.unsent -= sent;
  }
}

if (import.meta.main) {
  const { port } = startFixedUpstream(Number(process.argv[2] ?? 0));
  console.log(`ready ${port}`);
}
