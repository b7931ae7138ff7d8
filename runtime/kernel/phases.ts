// The order of messages on one ext_proc stream, as a table for each direction. Envoy sends headers, then body
// messages, then trailers, each only if it was asked for; the two directions interleave.

/** The six messages, by their names in the protocol. */
export type MessageKind =
  | "request_headers"
  | "request_body"
  | "request_trailers"
  | "response_headers"
  | "response_body"
  | "response_trailers";

/** Where a direction stands. */
export type Phase =
  /** Nothing came yet. */
  | "idle"
  /** Its steps are running; their answer is not sent yet. */
  | "running"
  /** A step waits for its body, or for the trailers that come where there is none. */
  | "suspended"
  /** Its headers, if they came, are answered. */
  | "open"
  /** The body that was waited for is answered: it was the whole one. */
  | "bodied"
  /** Its last message has come. */
  | "closed";

/** A message without its direction. */
export type Part = "headers" | "body" | "trailers";

/** What to do with a message. */
export type Action =
  /** Run the direction's steps. */
  | "run"
  /** Go on from the step that waited. */
  | "resume"
  /** The direction began without its headers: right only if it has no steps. */
  | "late"
  /** Nobody asked for it: answer "continue". */
  | "continue"
  /** Its turn comes when the answer before it is sent. */
  | "wait"
  /** Envoy never sends it here. */
  | "refuse";

/** Phase, part: action, and the phase after it. */
export const PHASES: Readonly<Record<Phase, Readonly<Record<Part, readonly [Action, Phase]>>>> = {
  idle: { headers: ["run", "running"], body: ["late", "open"], trailers: ["late", "closed"] },
  running: { headers: ["refuse", "closed"], body: ["wait", "running"], trailers: ["wait", "running"] },
  suspended: { headers: ["refuse", "closed"], body: ["resume", "running"], trailers: ["resume", "running"] },
  open: { headers: ["refuse", "closed"], body: ["continue", "open"], trailers: ["continue", "closed"] },
  bodied: { headers: ["refuse", "closed"], body: ["refuse", "closed"], trailers: ["continue", "closed"] },
  closed: { headers: ["refuse", "closed"], body: ["refuse", "closed"], trailers: ["refuse", "closed"] },
};

/** Splits a message's name. */
export const PARTS: Readonly<Record<MessageKind, readonly ["request" | "response", Part]>> = {
  request_headers: ["request", "headers"],
  request_body: ["request", "body"],
  request_trailers: ["request", "trailers"],
  response_headers: ["response", "headers"],
  response_body: ["response", "body"],
  response_trailers: ["response", "trailers"],
};
