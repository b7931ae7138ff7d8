import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { BUILD_TIMEOUT_MS, testEngine } from "../helpers/build.ts";
import type { LogLine, RunningEngine } from "../helpers/engine.ts";
import { HttpConnection } from "../helpers/http.ts";
import { type EnvoyParts, type Stack, startStack } from "../helpers/stack.ts";
import { waitFor } from "../helpers/wait.ts";

const routes = [
  { route: "fine", policies: [{ name: "tag", parameters: { label: "1" } }] },
  { route: "both", policies: [{ name: "tag-response", parameters: { label: "a" } }] },
  { route: "denied", policies: [{ name: "deny", parameters: { status: 401, reason: "no_token" } }] },
  { route: "failing", policies: [{ name: "faulty", parameters: { how: "throw" } }] },
  { route: "hang", policies: [{ name: "faulty", parameters: { how: "hang-request" } }] },
  { route: "body", policies: [{ name: "transform", parameters: { request: { see: "x-see" } } }] },
  { route: "telling", policies: [{ name: "leaky", parameters: { how: "log", plain: "none at all" } }] },
  { route: "broken", policies: [{ name: "faulty", parameters: { how: "create" } }] },
  { route: "empty", policies: [] },
];
const ENDED = "Exchange ended";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ routes, envoy: keepIds });
}, BUILD_TIMEOUT_MS);

afterAll(() => stack?.stop());

/** So that a test knows the id of its request. */
function keepIds({ connectionManager }: EnvoyParts): void {
  connectionManager.preserve_external_request_id = true;
}

function putLevel(body: string, engine: RunningEngine = stack.engine): Promise<Response> {
  return fetch(`http://${engine.admin}/log-level`, { method: "PUT", body });
}

async function setLevel(level: string): Promise<void> {
  expect((await putLevel(level)).status).toBe(200);
}

/** Lines about one request. */
function linesOf(id: string, engine: RunningEngine = stack.engine): LogLine[] {
  return engine.logs().filter(({ request_id }) => request_id === id);
}

function endOf(id: string, engine?: RunningEngine): Promise<LogLine> {
  return waitFor("line of the exchange", () => linesOf(id, engine).find(({ message }) => message === ENDED));
}

let sent = 0;

async function ask(path: string, more: { method?: string; body?: string } = {}): Promise<string> {
  const id = `request-${++sent}`;
  await stack.request({ path, headers: [["x-request-id", id]], ...more });
  return id;
}

test("003 6.2: a policy's line is JSON with time, level, component, request id, message and metadata", async () => {
  const id = await ask("/telling");
  const line = await waitFor("line of the policy", () => linesOf(id)[0]);
  expect(Object.keys(line)).toEqual(["timestamp", "level", "component", "request_id", "message", "metadata"]);
  expect(line).toMatchObject({
    level: "info",
    component: "policy",
    request_id: id,
    metadata: { policy: "leaky:v1.0.0", route: "telling" },
  });
});

test("the level changes while the engine runs, for it and its policies, and is refused if there is none such", async () => {
  const levels = async (): Promise<string[]> => {
    const id = await ask("/telling");
    await waitFor("lines of the policy", () => linesOf(id).some(({ level }) => level === "error"));
    const lines = linesOf(id).filter(({ component }) => component === "policy");
    return lines.map(({ level }) => level);
  };
  expect(await levels()).toEqual(["info", "warn", "error"]);
  expect((await putLevel("error")).status).toBe(200);
  expect(await levels()).toEqual(["error"]);
  const refused = await putLevel('{"level":"loud"}');
  expect([refused.status, await refused.json()]).toEqual([
    400,
    {
      error: "Cannot set the log level: the body names none",
      levels: ["debug", "info", "warn", "error"],
    },
  ]);
  expect((await putLevel("x".repeat(2_000))).status).toBe(413);
  expect(await (await stack.engine.getAdmin("/log-level")).json()).toEqual({ level: "error" });
  expect((await putLevel('{"level":"debug"}')).status).toBe(200);
  expect(await levels()).toEqual(["debug", "info", "warn", "error"]);
  await setLevel("info");
  expect(await levels()).toEqual(["info", "warn", "error"]);
  const changes = stack.engine.logs().filter(({ message }) => message === "Changed the log level");
  expect(changes.map(({ metadata }) => [metadata?.from, metadata?.to])).toEqual([
    ["info", "error"],
    ["error", "debug"],
    ["debug", "info"],
  ]);
});

test("at debug each exchange has one line that says how it ended", async () => {
  await setLevel("debug");
  const expected: Record<string, [facts: Record<string, unknown>, phases: string[]]> = {
    fine: [{ outcome: "passed" }, ["request_headers"]],
    both: [{ outcome: "passed", status: 200 }, ["request_headers", "response_headers"]],
    denied: [
      { outcome: "denied", reason: "no_token", policy: "deny:v1.0.0", status: 401 },
      ["request_headers"],
    ],
    failing: [
      { outcome: "failed", reason: "policy_failed", policy: "faulty:v1.0.0", status: 500 },
      ["request_headers"],
    ],
    body: [{ outcome: "passed" }, ["request_headers", "request_body"]],
    broken: [{ outcome: "failed", reason: "route_unavailable", status: 503 }, ["request_headers"]],
    empty: [{ outcome: "passed" }, ["request_headers"]],
  };
  for (const [route, [facts, phases]] of Object.entries(expected)) {
    const id = await ask(`/${route}`, route === "body" ? { method: "POST", body: "text" } : {});
    const { level, component, metadata = {} } = await endOf(id);
    expect([level, component]).toEqual(["debug", "kernel"]);
    const { error_id: errorId, duration_ms: duration, ...rest } = metadata;
    expect(rest).toEqual({ route, ...facts, phases });
    expect(duration).toBeNumber();
    if (facts.outcome === "failed") expect(errorId).toMatch(/^[0-9a-f]{16}$/);
    else expect(errorId).toBeUndefined();
  }
  await setLevel("info");
});

test("an exchange whose client goes away has its line too, and unknown routes no name", async () => {
  await setLevel("debug");
  const connection = await HttpConnection.open(stack.envoy.port);
  connection.write("GET /hang HTTP/1.1\r\nhost: a\r\nx-request-id: gone\r\n\r\n");
  await waitFor("stream", async () => (await stack.engine.metric("policy_kernel_streams_active")) === 1);
  connection.close();
  expect((await endOf("gone")).metadata).toMatchObject({ route: "hang", outcome: "cancelled" });
  expect((await endOf(await ask("/nobody-knows"))).metadata).toMatchObject({ route: "", outcome: "passed" });
  await setLevel("info");
  await ask("/fine");
  const after = await ask("/telling");
  await waitFor("line of the policy", () => linesOf(after).length > 0);
  expect(stack.engine.logs().filter(({ request_id }) => request_id === `request-${sent - 1}`)).toEqual([]);
  for (const line of stack.engine.logs()) if (line.message === ENDED) expect(line.level).toBe("debug");
  const ids = stack.engine.logs().filter(({ message }) => message === ENDED);
  expect(new Set(ids.map(({ request_id }) => request_id)).size).toBe(ids.length);
});

test("a sample of the exchanges has a line at info, and a rate of 1 is all of them", async () => {
  const sampled = await startStack({ routes, config: { log: { format: "json", sampleRate: 1 } } });
  try {
    const paths = ["/fine", "/denied", "/broken", "/empty"];
    for (const path of paths) await sampled.get(path);
    await waitFor("lines", () => endsIn(sampled.engine).length === paths.length);
    expect(endsIn(sampled.engine).map(({ level }) => level)).toEqual(["info", "info", "info", "info"]);
  } finally {
    await sampled.stop();
  }
});

function endsIn(engine: RunningEngine): LogLine[] {
  return engine.logs().filter(({ message }) => message === ENDED);
}

test("log.format: text on a terminal, JSON elsewhere, and what is configured in both", async () => {
  const folder = stack.engine.folder;
  const first = async (log: string, terminal: boolean): Promise<string> => {
    const file = join(folder, `terminal-${terminal}-${log.length}.yaml`);
    const addresses = ["extProc", "health", "admin"].map((name) => `${name}: { address: "127.0.0.1:0" }`);
    await Bun.write(file, `${addresses.join("\n")}\nroutes: { path: routes.yaml }\n${log}`);
    return await firstLine([await testEngine(), "--config", file], terminal);
  };
  const text = /^\d{4}-\S+ INFO {2}\[policy\] Loaded /;
  expect(await first("", true)).toMatch(text);
  expect(await first("", false)).toStartWith('{"timestamp":');
  expect(await first("log: { format: json }\n", true)).toStartWith('{"timestamp":');
  expect(await first("log: { format: text }\n", false)).toMatch(text);
});

/** What a program writes first, to a terminal or to a pipe. */
async function firstLine(command: readonly string[], terminal: boolean): Promise<string> {
  let output = "";
  const data = (_terminal: unknown, bytes: Uint8Array): void => {
    output += Buffer.from(bytes).toString();
  };
  const child = terminal
    ? Bun.spawn([...command], { terminal: { cols: 500, rows: 24, data } })
    : Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  try {
    if (!terminal) {
      for await (const chunk of child.stdout as ReadableStream<Uint8Array<ArrayBuffer>>) {
        data(undefined, chunk);
        if (output.includes("\n")) break;
      }
    }
    await waitFor("line", () => output.includes("\n"));
    return output.slice(0, output.indexOf("\n"));
  } finally {
    child.kill();
    await child.exited;
  }
}
