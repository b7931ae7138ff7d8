import type { Problem } from "../document/problem.ts";
import type { ProblemOptions } from "../document/yaml-document.ts";

/** What is legal but dangerous, by a name that stays: in the output of `validate`, in the log, in the documents. */
export type WarningCode =
  /** Whether an authentication policy runs depends on a header of the request. */
  | "auth-behind-client-header"
  /** … on the query. */
  | "auth-behind-query"
  /** … on the body. */
  | "auth-behind-body"
  /** … on the path as the client wrote it, of which there are many for one resource. */
  | "auth-behind-raw-path"
  /** … on the response: the request has been served then. */
  | "auth-behind-response"
  /** An authentication policy that is not enabled. */
  | "auth-disabled"
  /** An authentication policy lets pass what it cannot decide. */
  | "auth-fails-open"
  /** A condition that is false for every exchange. */
  | "step-never-runs"
  /** A policy with a request phase and a condition that reads the response. */
  | "request-phase-never-runs"
  /** The same policy with the same parameters and condition, twice. */
  | "duplicate-step"
  /** Two policies set the same header. */
  | "header-set-twice"
  /** A policy's `timeout` is longer than the time that there is for a message. */
  | "timeout-above-budget"
  /** Every user of the machine can read the private key of `extProc.tls`. */
  | "tls-key-readable"
  /** The certificate of `extProc.tls` is not valid any more. */
  | "tls-certificate-expired"
  /** Envoy gives up before `limits.bodyWait` is over. */
  | "body-wait-above-idle-timeout"
  /** The Envoy configuration has no ext_proc filter where it can be seen. */
  | "envoy-no-filter"
  | "envoy-failure-mode-allow"
  | "envoy-observability-mode"
  | "envoy-message-timeout"
  | "envoy-buffer-limit"
  | "envoy-processing-mode"
  | "envoy-mode-override"
  | "envoy-mutation-rules"
  | "envoy-immediate-response"
  | "envoy-no-route-key"
  | "envoy-unnamed-route"
  | "envoy-route-without-filter"
  | "envoy-no-client-address"
  /** Envoy takes the client's address from a header, without counting the proxies that wrote it. */
  | "envoy-address-from-header"
  | "envoy-path-normalisation";

/** Makes a warning at a JSON pointer. */
export type WarningReporter = (
  code: WarningCode,
  at: { readonly pointer: string; readonly message: string; readonly hint: string },
) => Problem;

/** A reporter of warnings from one of problems. */
export function warningReporter(
  report: (pointer: string, message: string, options?: ProblemOptions) => Problem,
): WarningReporter {
  return (code, { pointer, message, hint }) => report(pointer, message, { hint, code, severity: "warning" });
}
