import { type EngineLogger, LOG_LEVELS } from "../observability/log.ts";
import { type HttpAnswer, jsonAnswer, type WritablePage } from "./http-server.ts";

/** Shows and changes the level of the log, until the process ends. */
export function logLevelPage(log: EngineLogger): WritablePage {
  return {
    get: () => jsonAnswer(200, { level: log.level }),
    put: (body) => change(log, body),
  };
}

function change(log: EngineLogger, body: string): HttpAnswer {
  const asked = levelIn(body);
  const level = LOG_LEVELS.find((known) => known === asked);
  if (level === undefined) {
    return jsonAnswer(400, { error: "Cannot set the log level: the body names none", levels: LOG_LEVELS });
  }
  const from = log.level;
  if (level === from) return jsonAnswer(200, { level });
  // Under the lower of both levels, so that the change is in the log whatever it is.
  const least = LOG_LEVELS[Math.min(LOG_LEVELS.indexOf(from), LOG_LEVELS.indexOf(level))]!;
  log.setLevel(least);
  log[least === "debug" ? "info" : least]("Changed the log level", { from, to: level });
  log.setLevel(level);
  return jsonAnswer(200, { level });
}

/** The level as it is, or as JSON: `debug`, `"debug"` or `{ "level": "debug" }`. */
function levelIn(body: string): unknown {
  const text = body.trim();
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as { level?: unknown }).level : value;
  } catch {
    return text;
  }
}
