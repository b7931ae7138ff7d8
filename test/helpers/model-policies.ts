// The steps of the model as policies, which note what runs.
import {
  type Policy,
  type RequestChanges,
  type RequestContext,
  type ResponseChanges,
  type ResponseContext,
  respond,
} from "@policy-engine/sdk";
import type { Act, ModelHook, ModelStep } from "./exchange-model.ts";
import type { TestStep } from "./kernel.ts";

/** Policies that put into `ran` what a trace of the model has. */
export function toPolicies(steps: readonly ModelStep[], ran: string[]): TestStep[] {
  return steps.map(({ request, response, appliesToDenials, onUnbufferable }, place) => {
    const policy: Policy = {
      ...(request && {
        onRequest: (ctx) => {
          ran.push(`q${place}${shown(ctx)}`);
          return perform(request, ctx);
        },
      }),
      ...(response && {
        onResponse: (ctx) => {
          ran.push(ctx.denied ? `d${place}` : `s${place}${shown(ctx)}${shown(ctx.request, "[]")}`);
          return perform(response, ctx);
        },
      }),
    };
    return {
      policy,
      appliesToDenials,
      onUnbufferable,
      requestBody: request?.need ?? "none",
      responseBody: response?.need ?? "none",
    };
  });
}

type Context = RequestContext | ResponseContext;
type Result = ReturnType<typeof respond> | (RequestChanges & ResponseChanges) | undefined;

function shown({ body }: { readonly body: Uint8Array | null }, [open, close] = "()"): string {
  return body === null ? "" : `${open}${Buffer.from(body).toString("latin1")}${close}`;
}

function perform({ act, async }: ModelHook, context: Context): Result | Promise<Result> {
  return async ? Promise.resolve().then(() => resultOf(act, context)) : resultOf(act, context);
}

function resultOf(act: Act, { body }: Context): Result {
  switch (act.kind) {
    case "nothing":
      return undefined;
    case "throw":
      throw new Error("a policy's fault");
    case "deny":
      return respond(act.status);
    case "path":
      return { path: act.value };
    case "status":
      return { status: act.value };
    case "body": {
      if (act.how === "clear") return { body: null };
      const before = act.how === "append" ? Buffer.from(body ?? []).toString("latin1") : "";
      return { body: Uint8Array.from(Buffer.from(before + act.value, "latin1")) };
    }
    case "set":
      return { setHeaders: { [act.header]: act.value } };
    case "append":
      return { appendHeaders: { [act.header]: act.value } };
    case "absent":
      return { addHeadersIfAbsent: { [act.header]: act.value } };
    case "remove":
      return { removeHeaders: [act.header] };
  }
}
