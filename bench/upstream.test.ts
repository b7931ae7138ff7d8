import { afterEach, expect, test } from "bun:test";
import { HttpConnection } from "../test/helpers/http.ts";
import { waitFor } from "../test/helpers/wait.ts";
import { HELD_PATH, PATH, SHOW_PATH } from "./load/work.ts";
import { type FixedUpstream, startFixedUpstream } from "./upstream.ts";

const running: FixedUpstream[] = [];
afterEach(() => {
  for (const upstream of running.splice(0)) upstream.stop();
});

function start(): { upstream: FixedUpstream; url: (path: string) => string } {
  const upstream = startFixedUpstream();
  running.push(upstream);
  return { upstream, url: (path) => `http://127.0.0.1:${upstream.port}${path}` };
}

const BODY = "x".repeat(300_000);

test("the answer is fixed, has eleven headers, and one connection serves any number", async () => {
  const { url } = start();
  for (let request = 0; request < 3; request += 1) {
    const response = await fetch(url(PATH));
    expect([...response.headers]).toHaveLength(11);
    expect(await response.json()).toEqual({ order: 4711, total: "42" });
  }
});

test("a request is answered when its body has come whole, and the next one is read from behind it", async () => {
  const { upstream } = start();
  const connection = await HttpConnection.open(upstream.port);
  connection.write(`POST ${PATH} HTTP/1.1\r\ncontent-length: 10\r\n\r\n01234`);
  connection.write(`56789GET ${PATH} HTTP/1.1\r\nx-a`);
  connection.write(": b\r\n\r\n");
  for (let answer = 0; answer < 2; answer += 1) {
    const response = await connection.read();
    expect([response.status, response.text()]).toEqual([200, '{"order":4711,"total":"42"}']);
  }
  connection.close();
});

test("a request that is to be shown comes back as the upstream saw it", async () => {
  const { url } = start();
  const response = await fetch(url(SHOW_PATH), { method: "POST", headers: { "x-shown": "1" }, body: BODY });
  const text = await response.text();
  expect(text).toContain("\r\nx-shown: 1\r\n");
  expect(text).toEndWith(`\r\nbody: ${BODY.length}`);
});

test("requests that are held wait for the release, all of them", async () => {
  const { upstream, url } = start();
  let answered = 0;
  const waiting = Array.from({ length: 20 }, async () => {
    const response = await fetch(url(HELD_PATH));
    answered += 1;
    return response.status;
  });
  await waitFor("20 held requests", () => upstream.held === 20);
  expect(answered).toBe(0);
  upstream.release();
  expect(await Promise.all(waiting)).toEqual(Array(20).fill(200));
  expect(upstream.held).toBe(0);
});
