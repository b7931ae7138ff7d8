import type { BuildInfo, PolicyListing } from "../policy/registry.ts";
import type { Readiness } from "./health-pages.ts";
import { type HttpPages, jsonAnswer } from "./http-server.ts";

/** What the engine says of itself. */
export interface EngineStatus {
  readonly readiness: Readiness;
  readonly uptimeSeconds: number;
  readonly build: BuildInfo;
  readonly addresses: Readonly<Record<string, string>>;
  /** Of the snapshot that serves; undefined before the first. */
  readonly snapshot:
    | { readonly id: number; readonly active: number; readonly unavailable: number }
    | undefined;
  readonly streamsActive: number;
}

/** What the admin server shows. Whatever it returns has its secrets taken out already. */
export interface AdminSources {
  status(): EngineStatus;
  config(): unknown;
  policies(): readonly PolicyListing[];
}

/** The pages for operators. */
export function adminPages({ status, config, policies }: AdminSources): HttpPages {
  return {
    "/": () => jsonAnswer(200, { pages: ["/config", "/policies", "/status"] }),
    "/config": () => jsonAnswer(200, config()),
    "/policies": () => jsonAnswer(200, { policies: policies() }),
    "/status": () => jsonAnswer(200, status()),
  };
}
