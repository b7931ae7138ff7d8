import { describe, expect, test } from "bun:test";
import { parse } from "yaml";
import { validateEnvoyConfig } from "../../test/helpers/envoy.ts";
import { type EnvoyConfigOptions, envoyConfig, renderEnvoyConfig } from "./envoy-config.ts";

const OPTIONS: EnvoyConfigOptions = {
  extProc: "127.0.0.1:9001",
  listen: "0.0.0.0:8080",
  upstream: "127.0.0.1:8081",
  admin: "127.0.0.1:9901",
  routes: ["orders", "orders/private", "a b?c#d", "x".repeat(200)],
};

describe("envoyConfig()", () => {
  const variants: Record<string, EnvoyConfigOptions> = {
    "the wide base": OPTIONS,
    "the narrow base": { ...OPTIONS, base: "narrow" },
    "no routes": { ...OPTIONS, routes: [] },
    "unix sockets": { ...OPTIONS, extProc: "unix:/run/policy-engine/extproc.sock" },
    "host names and IPv6": { ...OPTIONS, upstream: "backend.example:80", listen: "[::]:8080" },
    "all options": {
      ...OPTIONS,
      messageTimeoutMs: 250,
      bodyBytes: 65_536,
      metadataNamespace: "my.routes",
      denialsNamespace: "my.denials",
    },
  };
  for (const [name, options] of Object.entries(variants)) {
    test(`is accepted by Envoy with ${name}`, async () => {
      const { valid, output } = await validateEnvoyConfig(renderEnvoyConfig(options));
      expect(output).not.toContain("error");
      expect(valid).toBe(true);
    });
  }

  test("is refused by Envoy when it is broken, so that acceptance means something", async () => {
    const text = renderEnvoyConfig(OPTIONS).replace("failure_mode_allow", "failure_mode_alow");
    expect((await validateEnvoyConfig(text)).valid).toBe(false);
  });

  test("renders the same object that it returns", () => {
    expect(parse(renderEnvoyConfig(OPTIONS))).toEqual(envoyConfig(OPTIONS));
  });

  test("fails closed, names the route and makes a refused change an error", () => {
    const text = renderEnvoyConfig({ ...OPTIONS, messageTimeoutMs: 250 });
    expect(text).toContain("failure_mode_allow: false");
    expect(text).toContain("message_timeout: 0.25s");
    expect(text).toContain("disallow_is_error: true");
    expect(text).toContain('value: "%ROUTE_NAME%"');
    expect(text).toContain("normalize_path: true");
  });

  test("lets Envoy receive what denials say, once", () => {
    const received = (denialsNamespace?: string): unknown => {
      const text = renderEnvoyConfig({ ...OPTIONS, ...(denialsNamespace && { denialsNamespace }) });
      const [{ filter_chains }] = parse(text).static_resources.listeners;
      const [extProc] = filter_chains[0].filters[0].typed_config.http_filters;
      return extProc.typed_config.metadata_options.receiving_namespaces.untyped;
    };
    expect(received()).toEqual(["policy_engine"]);
    expect(received("my.denials")).toEqual(["policy_engine", "my.denials"]);
    expect(received("policy_engine")).toEqual(["policy_engine"]);
  });

  test("puts longer route keys before those they begin with, and everything else last", () => {
    const text = renderEnvoyConfig(OPTIONS);
    expect(text.indexOf("name: orders/private")).toBeLessThan(text.indexOf("name: orders\n"));
    expect(text.indexOf("name: unmatched")).toBeGreaterThan(text.indexOf("name: orders\n"));
  });

  for (const address of [
    "",
    "localhost",
    "localhost:",
    "localhost:99999",
    ":80",
    "unix:relative",
    "a b:80",
  ]) {
    test(`refuses the address ${JSON.stringify(address)}`, () => {
      expect(() => envoyConfig({ ...OPTIONS, listen: address })).toThrow(
        `Cannot use address ${JSON.stringify(address)}: it is not an address, "host:port" or "unix:/path" is needed`,
      );
    });
  }
});
