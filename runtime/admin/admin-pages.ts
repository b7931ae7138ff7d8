import type { StoreStatus } from "../config/snapshot-store.ts";
import type { BuildInfo, PolicyListing } from "../policy/registry.ts";
import type { Readiness } from "./health-pages.ts";
import { type HttpPages, jsonAnswer } from "./http-server.ts";

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
