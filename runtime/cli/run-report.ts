// What `run` prints: everything as JSON, or what people look for as text.
import { paint } from "./cli-context.ts";
import type { MessageChanges } from "./message-state.ts";
import type { LeftOut, RunReport, SentMessage } from "./run-exchange.ts";
import type { StepRecord } from "./step-recorder.ts";

/** A body as text is cut to be read at a glance; JSON has all of it. */
const SHOWN_CHARACTERS = 2_000;

type Style = { readonly colours: boolean };

/** The report for machines. */
export function runJson(route: string, report: RunReport): unknown {
  const { outcome, reason, leftOut, upstreamRequest, clientResponse, dynamicMetadata } = report;
  return {
    ...{ route, outcome, reason },
    steps: report.steps.map((step) => {
      const { saw, changed, ...facts } = step;
      const { body: _body, seen, headers, ...message } = saw;
      return {
        ...facts,
        saw: { ...message, headers, body: seen && bodyJson(seen) },
        changed: changed.body === undefined ? changed : { ...changed, body: bodyJson(changed.body) },
      };
    }),
    notRun: leftOut,
    upstreamRequest: upstreamRequest && messageJson(upstreamRequest),
    clientResponse: clientResponse && messageJson(clientResponse),
    dynamicMetadata,
  };
}

function messageJson(message: SentMessage): unknown {
  return { ...message, body: bodyJson(message.body) };
}

/** Text if it is one, else base64. */
function bodyJson(body: Uint8Array): unknown {
  const text = textOf(body);
  const bytes = body.length;
  return text === undefined ? { bytes, base64: Buffer.from(body).toString("base64") } : { bytes, text };
}

/** The report for people. */
export function runText(route: string, report: RunReport, style: Style): string {
  const { outcome, reason, steps, leftOut, upstreamRequest, clientResponse } = report;
  const colour = outcome === "passed" ? "green" : outcome === "denied" ? "yellow" : "red";
  const lines = [
    `${paint(`Route ${JSON.stringify(route)}`, "bold", style)}: ${paint(outcome, colour, style)}${reason === "" ? "" : `, ${reason}`}`,
  ];
  for (const step of steps) lines.push(...stepText(step).map(printable));
  for (const step of leftOut) lines.push(leftOutText(step));
  if (steps.length + leftOut.length === 0) lines.push("  no policy runs");
  lines.push(...part("The upstream gets", upstreamRequest, style));
  lines.push(...part("The client gets", clientResponse, style));
  return `${lines.join("\n")}\n`;
}

function stepText(step: StepRecord): string[] {
  const { place, name, version, phase, waited, saw, outcome, changed } = step;
  const body = saw.seen === null ? "" : `, body of ${counted(saw.seen.length, "byte")}`;
  const message = saw.status === undefined ? `${saw.method} ${saw.path}` : `status ${saw.status}`;
  const when = `${phase}${waited ? ", after waiting for the body" : ""}`;
  return [
    `  ${place}. ${name} ${version} (${when}): ${outcome === "failed_open" ? "failed, left out" : outcome}`,
    `       saw ${message}, ${counted(saw.headers.length, "header")}${body}`,
    ...changesText(changed).map((change) => `       changed ${change}`),
  ];
}

function counted(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

function changesText({ headers = {}, body, metadata, ...message }: MessageChanges): string[] {
  const changes = Object.entries(message).map(([name, value]) => `${name}: ${value}`);
  for (const [name, values] of Object.entries(headers)) {
    if (values === null) changes.push(`${name}: removed`);
    for (const value of values ?? []) changes.push(`${name}: ${value}`);
  }
  if (body !== undefined) changes.push(`body: ${shown(body).replaceAll("\n", "\\n")}`);
  if (metadata !== undefined) changes.push(`metadata: ${metadata.join(", ")}`);
  return changes;
}

function leftOutText({ place, name, version, phase, reason }: LeftOut): string {
  return `  ${place}. ${name} ${version} (${phase}): ${NOT_RUN[reason]}`;
}

const NOT_RUN: Readonly<Record<LeftOut["reason"], string>> = {
  ended: "not reached",
  unbufferable: "left out, its body cannot be buffered",
  condition: "left out, its condition is not true",
  failed_open: "left out, as it failed in the request",
};

function part(title: string, message: SentMessage | null, style: Style): string[] {
  if (message === null) return title.includes("upstream") ? [`${paint(title, "bold", style)} nothing`] : [];
  const { method, path, authority, status, headers, body } = message;
  const first = status === undefined ? `${method} ${path} HTTP/1.1` : `HTTP/1.1 ${status}`;
  const host = authority === undefined || authority === "" ? [] : [`host: ${authority}`];
  const lines = [first, ...host, ...headers.map(([name, value]) => `${name}: ${value}`)];
  if (body.length > 0) lines.push("", ...shown(body).split("\n"));
  return [
    `${paint(title, "bold", style)}:`,
    ...lines.map((line) => (line === "" ? "" : `  ${printable(line)}`)),
  ];
}

function shown(body: Uint8Array): string {
  const text = textOf(body);
  if (text === undefined) return `(${body.length} bytes that are not text)`;
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}… (${body.length} bytes)` : text;
}

/** What clients and upstreams sent must not drive the terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\t]/gu, "\ufffd");
}

function textOf(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return undefined;
  }
}
