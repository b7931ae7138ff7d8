// Run by `make test-long`: bodies as large, and exchanges that wait for one as many, as an engine meets at its worst.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { onRequest, onResponse, route } from "../helpers/body-routes.ts";
import { BUILD_TIMEOUT_MS } from "../helpers/build.ts";
import { HttpConnection } from "../helpers/http.ts";
import { type Stack, startStack } from "../helpers/stack.ts";
import { fingerprint } from "../helpers/upstream-reply.ts";
import { waitFor } from "../helpers/wait.ts";
import { residentMemory } from "../integration/scale-figures.ts";

const BODY_BYTES = 10 * 1024 * 1024;
const BODY_MEMORY = 256 * 1024 * 1024;
const AT_ONCE = 100;
/** What the memory holds of them. */
const FITTING = Math.floor(BODY_MEMORY / BODY_BYTES);
/** A body counts when it has come whole: until then all of them are in the transport, twice while they are joined. */
const RESIDENT_LIMIT = 2 * AT_ONCE * BODY_BYTES + BODY_MEMORY;
const WAITING = 10_000;
const SESSIONS = 20;

let stack: Stack;
/** What a test that fails leaves open. */
const closing: HttpConnection[] = [];

beforeAll(async () => {
  stack = await startStack({
    routes: [
      route("hold", onRequest({ log: true }), { name: "faulty", parameters: { how: "hang-request" } }),
      route("read", onRequest({ see: "x-saw" })),
      route("both", onRequest({ see: "x-saw", edit: "append", text: "!" }), onResponse({ see: "x-saw" })),
      route("wait", onRequest({ see: "x-saw", edit: "append", text: "!" })),
    ],
    config: {
      extProc: { messageTimeout: "10m" },
      limits: { bodyBytes: String(BODY_BYTES), bodyMemory: String(BODY_MEMORY), bodyWait: "10m" },
    },
    envoy({ bootstrap, extProc }) {
      extProc.message_timeout = "600s";
      // Thousands of requests leave the engine at once: the upstream, one process with the tests, takes its time.
      const { clusters } = bootstrap.static_resources;
      clusters.find(({ name }: { name: string }) => name === "upstream").connect_timeout = "60s";
    },
  });
  stack.upstream.on("/read", { digest: true }).on("/both", { digest: true });
}, BUILD_TIMEOUT_MS);

afterEach(() => {
  for (const connection of closing.splice(0)) connection.close();
});

afterAll(() => stack?.stop());

/** Different in each exchange, so that none is taken for another. */
const bodyOf = (index: number, bytes = BODY_BYTES) => Buffer.alloc(bytes, `body ${index}, `);

test(`limits.bodyMemory: of ${AT_ONCE} bodies of 10 MiB that stay, ${FITTING} fit and the others get 503`, async () => {
  for (let round = 0; round < 2; round++) {
    const since = stack.engine.logs().length;
    const held = await Promise.all(
      Array.from({ length: FITTING }, () => HttpConnection.open(stack.envoy.port)),
    );
    closing.push(...held);
    for (const [index, connection] of held.entries()) {
      connection.write(`POST /hold HTTP/1.1\r\nhost: a\r\ncontent-length: ${BODY_BYTES}\r\n\r\n`);
      connection.write(bodyOf(index));
    }
    await waitFor("held bodies", () => {
      const read = stack.engine
        .logs()
        .slice(since)
        .filter(({ message }) => message === "read a body");
      return read.length === FITTING;
    });
    const surplus = Array.from({ length: AT_ONCE - FITTING }, (_, index) =>
      stack.request({ method: "POST", path: "/hold", body: bodyOf(index) }),
    );
    for (const response of await Promise.all(surplus)) {
      expect([response.status, response.text().split(" ")[0]]).toEqual([503, "body_memory_exhausted"]);
    }
    expect(await residentMemory(stack.engine.pid)).toBeLessThan(RESIDENT_LIMIT);
    for (const connection of held) connection.close();
    await waitFor("free memory", async () => (await exchange("/read", bodyOf(0))) === 200);
  }
}, 600_000);

test(`limits.bodyMemory: ${AT_ONCE} bodies of 10 MiB that pass are served, or get 503; none is mixed up`, async () => {
  const statuses = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, index) => exchange("/both", bodyOf(index, BODY_BYTES - 1))),
  );
  expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(FITTING);
  // All of it was given back: one after the other they all fit.
  for (let index = 0; index < FITTING + 2; index++) {
    expect(await exchange("/both", bodyOf(index, BODY_BYTES - 1))).toBe(200);
  }
}, 600_000);

test(`edge: ${WAITING} exchanges wait for their bodies, and each gets its own answer`, async () => {
  const sessions = Array.from({ length: SESSIONS }, () => connect(`http://127.0.0.1:${stack.envoy.port}`));
  try {
    const streams = Array.from({ length: WAITING }, (_, index) => {
      const session = sessions[index % SESSIONS] as ClientHttp2Session;
      return session.request({ ":method": "POST", ":path": `/wait/${index}` }, { endStream: false });
    });
    const active = () => stack.engine.metric("policy_kernel_streams_active");
    await waitFor("waiting exchanges", async () => (await active()) === WAITING);
    expect((await stack.request({ method: "POST", path: "/read", body: "x" })).status).toBe(200);
    // Every other client goes away; what is left is served.
    for (const [index, stream] of streams.entries()) if (index % 2 === 1) stream.close();
    await waitFor("cancelled exchanges", async () => (await active()) === WAITING / 2);
    const left = streams.map((stream, index) => ({ stream, index })).filter(({ index }) => index % 2 === 0);
    const answers = left.map(({ stream }) => read(stream));
    for (const { stream, index } of left) stream.end(`body ${index}`);
    for (const [at, answer] of (await Promise.all(answers)).entries()) {
      const index = at * 2;
      const { path, body } = JSON.parse(answer) as { path: string; body: string };
      expect([path, body]).toEqual([`/wait/${index}`, `body ${index}!`]);
    }
    await waitFor("idle engine", async () => (await active()) === 0);
  } finally {
    for (const session of sessions) session.destroy();
  }
}, 600_000);

/** The status, when what came back belongs to what was sent. */
async function exchange(path: string, body: Buffer): Promise<number> {
  const response = await stack.request({ method: "POST", path, body });
  if (response.status !== 200) return response.status;
  const echo = response.echo();
  expect(echo.header("x-saw")).toBe(fingerprint(body));
  expect(echo.request.body).toBe(
    fingerprint(path === "/both" ? Buffer.concat([body, Buffer.from("!")]) : body),
  );
  return response.status;
}

function read(stream: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.once("end", () => resolve(Buffer.concat(chunks).toString()));
    stream.once("error", reject);
  });
}
