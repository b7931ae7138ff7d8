// The standard health service of gRPC, grpc.health.v1.Health: what Envoy's gRPC health check asks.
import type { OutgoingStream, StreamAcceptor } from "../transport/transport.ts";

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
/** The gRPC status for a service that is not known. */
const NOT_FOUND = 5;
/** The gRPC status for one watch too many. */
const RESOURCE_EXHAUSTED = 8;
/** The gRPC status for a request that is no HealthCheckRequest. */
const INVALID_ARGUMENT = 3;
/** Far above the Envoys and orchestrators that one engine has; each costs a little, as long as it lasts. */
const MAX_WATCHES = 1_000;
/** How often it is looked whether those who watch are to be told something new. */
const WATCH_INTERVAL_MS = 500;
/** A request has a name in it; this is longer than any that is known. */
const REQUEST_BYTES = 1_024;

/** What the health service is made of. */
export interface GrpcHealthSettings {
  /** The names of the services that can be asked for; the empty name stands for the whole server. */
  readonly services: readonly string[];
  isServing(): boolean;
}

/** The health service, to be mounted on a transport. */
export interface GrpcHealth {
  /** The acceptor of each method, by its gRPC path. */
  readonly services: Readonly<Record<string, StreamAcceptor>>;
  /** Tells those who watch that it is over, so that no drain waits for them. */
  stop(): void;
}

interface Watcher {
  readonly service: string;
  readonly out: OutgoingStream;
  told: number;
}

export function createGrpcHealth({ services, isServing }: GrpcHealthSettings): GrpcHealth {
  const known = new Set(["", ...services]);
  const watchers = new Set<Watcher>();
  let clock: ReturnType<typeof setInterval> | undefined;

  const statusOf = (service: string): number => {
    if (!known.has(service)) return SERVICE_UNKNOWN;
    return isServing() ? SERVING : NOT_SERVING;
  };
  const tell = (watcher: Watcher): void => {
    const status = statusOf(watcher.service);
    if (status === watcher.told) return;
    watcher.told = status;
    watcher.out.send(answerOf(status));
  };
  const forget = (watcher: Watcher | undefined): void => {
    if (watcher !== undefined) watchers.delete(watcher);
    if (watchers.size > 0) return;
    clearInterval(clock);
    clock = undefined;
  };
  const check: StreamAcceptor = onRequest((service, out) => {
    const status = statusOf(service);
    if (status === SERVICE_UNKNOWN) {
      out.fail("The service is unknown", NOT_FOUND);
    } else {
      out.send(answerOf(status));
      out.end();
    }
    return undefined;
  });
  const watch: StreamAcceptor = onRequest((service, out) => {
    if (watchers.size >= MAX_WATCHES) {
      out.fail("There are too many watches", RESOURCE_EXHAUSTED);
      return undefined;
    }
    const watcher: Watcher = { service, out, told: -1 };
    tell(watcher);
    watchers.add(watcher);
    clock ??= setInterval(() => {
      for (const each of watchers) tell(each);
    }, WATCH_INTERVAL_MS);
    return () => forget(watcher);
  });

  return {
    services: { "/grpc.health.v1.Health/Check": check, "/grpc.health.v1.Health/Watch": watch },
    stop: () => {
      for (const { out, told } of watchers) {
        if (told === SERVING) out.send(answerOf(NOT_SERVING));
        out.end();
      }
      watchers.clear();
      forget(undefined);
    },
  };
}

/** Serves methods of one request; what `serve` gives is called when the peer is gone. */
function onRequest(
  serve: (service: string, out: OutgoingStream) => (() => void) | undefined,
): StreamAcceptor {
  return (_metadata, out) => {
    let isServed = false;
    let onGone: (() => void) | undefined;
    return {
      message: (bytes, start, end) => {
        if (isServed) return;
        isServed = true;
        const service = readService(bytes.subarray(start, end));
        if (service === undefined) out.fail("The request is no HealthCheckRequest", INVALID_ARGUMENT);
        else onGone = serve(service, out);
      },
      halfClose: () => {
        if (!isServed) out.fail("The request is missing", INVALID_ARGUMENT);
      },
      cancel: () => onGone?.(),
    };
  };
}

/** HealthCheckResponse: its only field is the status. */
function answerOf(status: number): Uint8Array {
  return new Uint8Array([0x08, status]);
}

/** The only field of a HealthCheckRequest, a text; undefined if it is none. Other fields are passed over. */
function readService(bytes: Uint8Array): string | undefined {
  if (bytes.length > REQUEST_BYTES) return undefined;
  let service = "";
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    const content = tag === undefined ? undefined : readContent(bytes, tag.end, tag.value & 7);
    if (tag === undefined || content === undefined || tag.value >>> 3 === 0) return undefined;
    if (tag.value === 0x0a) service = Buffer.from(content.value).toString();
    at = content.end;
  }
  return service;
}

/** What a field of a wire type holds, and where it ends. */
function readContent(
  bytes: Uint8Array,
  start: number,
  wireType: number,
): { value: Uint8Array; end: number } | undefined {
  const number = wireType === 0 || wireType === 2 ? readVarint(bytes, start) : undefined;
  const fixed = wireType === 1 ? 8 : wireType === 5 ? 4 : undefined;
  const from = number?.end ?? start;
  const end = wireType === 2 ? from + (number?.value ?? 0) : from + (fixed ?? 0);
  if ((number === undefined && fixed === undefined) || end > bytes.length) return undefined;
  return { value: bytes.subarray(from, end), end };
}

function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let at = start; at < bytes.length && at < start + 10; at++) {
    value += (bytes[at]! & 0x7f) * 2 ** (7 * (at - start));
    if (bytes[at]! < 0x80) return { value, end: at + 1 };
  }
  return undefined;
}
