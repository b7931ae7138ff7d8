import type { StoreStatus } from "../config/snapshot-store.ts";
import type { EngineLogger } from "../observability/log.ts";
import type { BuildInfo, PolicyListing } from "../policy/registry.ts";
import type { Readiness } from "./health-pages.ts";
import { type HttpPages, jsonAnswer } from "./http-server.ts";
import { logLevelPage } from "./log-level-page.ts";

/** What the engine says of itself. */
export interface EngineStatus {
  readonly readiness: Readiness;
  readonly uptimeSeconds: number;
  readonly build: BuildInfo;
  readonly addresses: Readonly<Record<string, string>>;
  /** The routes, the last change of them, and what is wrong with it; undefined before there is a store. */
  readonly configuration: StoreStatus | undefined;
  /** Policy versions in the executable. */
  readonly policies: number;
  readonly streamsActive: number;
}

/** What the admin server shows. Whatever it returns has its secrets taken out already. */
export interface AdminSources {
  status(): EngineStatus;
  config(): unknown;
  policies(): readonly PolicyListing[];
  /** The engine's log, whose level can be changed. */
  readonly log: EngineLogger;
}

/** The pages for operators. */
export function adminPages({ status, config, policies, log }: AdminSources): HttpPages {
  return {
    "/": () => jsonAnswer(200, { pages: ["/config", "/log-level", "/policies", "/status"] }),
    "/config": () => jsonAnswer(200, config()),
    "/log-level": logLevelPage(log),
    "/policies": () => jsonAnswer(200, { policies: policies() }),
    "/status": () => jsonAnswer(200, status()),
  };
}
