// Envoy's configuration is judged as a whole: the one that `envoy-config` writes is sound, and each thing that
// can be wrong with it is found alone, at its place.
import { describe, expect, test } from "bun:test";
import { stringify } from "yaml";
import type { Problem } from "../document/problem.ts";
import { parseYaml } from "../document/yaml-document.ts";
import { parseEngineConfig } from "./load-engine-config.ts";
import { envoyWarnings } from "./warnings-envoy.ts";

// biome-ignore lint/suspicious/noExplicitAny: a configuration that tests reach into
type Tree = any;

interface Parts {
  readonly root: Tree;
  readonly listener: Tree;
  readonly manager: Tree;
  readonly entry: Tree;
  readonly filter: Tree;
  readonly host: Tree;
}

const HTTP =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const EXT_PROC = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";

function sound(): Parts {
  const filter = {
    "@type": EXT_PROC,
    grpc_service: {
      envoy_grpc: { cluster_name: "policy_engine" },
      initial_metadata: [{ key: "x-route-name", value: "%ROUTE_NAME%" }],
    },
    message_timeout: "1s",
    allow_mode_override: true,
    processing_mode: {
      request_header_mode: "SEND",
      request_body_mode: "BUFFERED",
      request_trailer_mode: "SEND",
      response_header_mode: "SEND",
      response_body_mode: "BUFFERED",
      response_trailer_mode: "SEND",
    },
    mutation_rules: { allow_all_routing: true, allow_envoy: true, disallow_is_error: true },
    request_attributes: ["xds.route_name", "source.address"],
  };
  const entry = { name: "policies", typed_config: filter };
  const host = { name: "all", domains: ["*"], routes: [{ name: "orders", match: { prefix: "/" } }] };
  const manager = {
    "@type": HTTP,
    use_remote_address: true,
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST",
    route_config: { virtual_hosts: [host] },
    http_filters: [entry, { name: "router", typed_config: { "@type": "x/envoy.Router" } }],
  };
  const listener = {
    per_connection_buffer_limit_bytes: 10_485_760,
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
  const root = { static_resources: { listeners: [listener], clusters: [] } };
  return { root, listener, manager, entry, filter, host };
}

function warningsFor(
  change: (parts: Parts) => void,
  { engine = {}, routes = ["orders"] }: { engine?: object; routes?: string[] } = {},
): Problem[] {
  const parts = sound();
  change(parts);
  const document = parseYaml(stringify(parts.root, { aliasDuplicateObjects: false }), "envoy.yaml");
  expect(document.problems).toEqual([]);
  const { config, problems } = parseEngineConfig(JSON.stringify({ routes: { path: "r" }, ...engine }), "e");
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return envoyWarnings(document, { config: config!, routes: new Set(routes) });
}

const IN_FILTER =
  "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config";

test("a sound configuration is not warned of, in snake case and in camel case, by name or by port", () => {
  expect(warningsFor(() => {})).toEqual([]);
  const camel = warningsFor(({ filter, listener }) => {
    filter.messageTimeout = filter.message_timeout;
    filter.mutationRules = { allowAllRouting: true, allowEnvoy: true, disallowIsError: true };
    listener.perConnectionBufferLimitBytes = listener.per_connection_buffer_limit_bytes;
    delete filter.message_timeout;
    delete filter.mutation_rules;
    delete listener.per_connection_buffer_limit_bytes;
  });
  expect(camel).toEqual([]);
});

describe("each danger alone", () => {
  const cases: [code: string, pointer: string, change: (parts: Parts) => void, options?: object][] = [
    [
      "envoy-failure-mode-allow",
      `${IN_FILTER}/failure_mode_allow`,
      ({ filter }) => (filter.failure_mode_allow = true),
    ],
    [
      "envoy-observability-mode",
      `${IN_FILTER}/observability_mode`,
      ({ filter }) => (filter.observability_mode = true),
    ],
    [
      "envoy-immediate-response",
      `${IN_FILTER}/disable_immediate_response`,
      ({ filter }) => (filter.disable_immediate_response = true),
    ],
    [
      "envoy-message-timeout",
      `${IN_FILTER}/message_timeout`,
      ({ filter }) => (filter.message_timeout = "0.999s"),
    ],
    ["envoy-message-timeout", IN_FILTER, ({ filter }) => delete filter.message_timeout],
    [
      "envoy-buffer-limit",
      "/static_resources/listeners/0/per_connection_buffer_limit_bytes",
      ({ listener }) => (listener.per_connection_buffer_limit_bytes = 10_485_759),
    ],
    [
      "envoy-buffer-limit",
      "/static_resources/listeners/0",
      ({ listener }) => delete listener.per_connection_buffer_limit_bytes,
    ],
    ["envoy-mode-override", IN_FILTER, ({ filter }) => delete filter.allow_mode_override],
    [
      "envoy-processing-mode",
      `${IN_FILTER}/processing_mode`,
      ({ filter }) => (filter.processing_mode.request_header_mode = "SKIP"),
    ],
    [
      "envoy-processing-mode",
      `${IN_FILTER}/processing_mode`,
      ({ filter }) => (filter.processing_mode.request_body_mode = "STREAMED"),
    ],
    [
      "envoy-processing-mode",
      `${IN_FILTER}/processing_mode`,
      ({ filter }) => (filter.processing_mode.response_body_mode = "FULL_DUPLEX_STREAMED"),
    ],
    ["envoy-mutation-rules", IN_FILTER, ({ filter }) => delete filter.mutation_rules],
    [
      "envoy-mutation-rules",
      `${IN_FILTER}/mutation_rules`,
      ({ filter }) => (filter.mutation_rules.disallow_is_error = false),
    ],
    [
      "envoy-mutation-rules",
      `${IN_FILTER}/mutation_rules`,
      ({ filter }) => (filter.mutation_rules.disallow_all = true),
    ],
    [
      "envoy-no-route-key",
      `${IN_FILTER}/grpc_service`,
      ({ filter }) => {
        delete filter.grpc_service.initial_metadata;
        filter.request_attributes = ["source.address"];
      },
    ],
    [
      "envoy-no-client-address",
      `${IN_FILTER}/request_attributes`,
      ({ filter }) => (filter.request_attributes = ["xds.route_name"]),
    ],
    [
      "envoy-address-from-header",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config",
      ({ manager }) => delete manager.use_remote_address,
    ],
    [
      "envoy-address-from-header",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/use_remote_address",
      ({ manager }) => {
        manager.use_remote_address = false;
        manager.xff_num_trusted_hops = 0;
      },
    ],
    [
      "envoy-path-normalisation",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config",
      ({ manager }) => delete manager.normalize_path,
    ],
    [
      "envoy-path-normalisation",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config",
      ({ manager }) => (manager.path_with_escaped_slashes_action = "KEEP_UNCHANGED"),
    ],
    [
      "body-wait-above-idle-timeout",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/stream_idle_timeout",
      ({ manager }) => (manager.stream_idle_timeout = "29s"),
    ],
    [
      "envoy-unnamed-route",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/1",
      ({ host }) => host.routes.push({ match: { prefix: "/x" } }),
    ],
    [
      "envoy-route-without-filter",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0/typed_per_filter_config/policies/disabled",
      ({ host }) => (host.routes[0].typed_per_filter_config = { policies: { disabled: true } }),
    ],
    [
      "envoy-route-without-filter",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/typed_per_filter_config/policies/disabled",
      ({ host }) => (host.typed_per_filter_config = { policies: { disabled: true } }),
    ],
    [
      "envoy-route-without-filter",
      "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/disabled",
      ({ entry }) => (entry.disabled = true),
    ],
    ["envoy-no-filter", "/static_resources", ({ manager }) => manager.http_filters.shift()],
  ];
  test.each(cases)("%s at %s", (code, pointer, change) => {
    const found = warningsFor(change);
    expect(found.map((each) => [each.severity, each.code, each.pointer])).toEqual([
      ["warning", code, pointer],
    ]);
    expect(found[0]?.hint).toMatch(/\S/);
  });
});

describe("what is fine", () => {
  const narrow = { request_header_mode: "SEND", response_header_mode: "SKIP" };

  test("a narrow base with overrides, but not without", () => {
    expect(warningsFor(({ filter }) => (filter.processing_mode = narrow))).toEqual([]);
    const forbidden = warningsFor(({ filter }) => {
      filter.processing_mode = narrow;
      filter.allow_mode_override = false;
    });
    expect(forbidden.map(({ code }) => code)).toEqual(["envoy-processing-mode", "envoy-mode-override"]);
    for (const mode of [
      "request_body_mode is NONE",
      "response_header_mode is SKIP",
      "response_trailer_mode is SKIP",
    ])
      expect(forbidden[0]?.message).toContain(mode);
  });

  test("a route's key in dynamic metadata, or a default route", () => {
    const change = ({ filter }: Parts): void => {
      delete filter.grpc_service.initial_metadata;
      filter.request_attributes = ["source.address"];
      filter.metadata_options = { forwarding_namespaces: { untyped: ["ns"] } };
    };
    const key = { metadataNamespace: "ns", metadataKey: "route" };
    expect(warningsFor(change, { engine: { routeKey: key } })).toEqual([]);
    expect(
      warningsFor(change, { engine: { routeKey: { ...key, metadataNamespace: "other" } } }),
    ).toHaveLength(1);
    expect(warningsFor(change, { engine: { defaultRoute: "orders" } })).toEqual([]);
  });

  test("the filter switched off on a route that has no policies", () => {
    const change = ({ host }: Parts): void => {
      host.routes[0].typed_per_filter_config = { policies: { disabled: true } };
    };
    expect(warningsFor(change, { routes: ["other"] })).toEqual([]);
  });

  test("an address from a header of which the proxies are counted, or that an extension reads", () => {
    const counted = ({ manager }: Parts): void => {
      delete manager.use_remote_address;
      manager.xff_num_trusted_hops = 1;
    };
    const detected = ({ manager }: Parts): void => {
      delete manager.use_remote_address;
      manager.original_ip_detection_extensions = [{ name: "x" }];
    };
    expect([warningsFor(counted), warningsFor(detected)]).toEqual([[], []]);
  });

  test("an idle timeout that is off, and limits that fit each other", () => {
    expect(warningsFor(({ manager }) => (manager.stream_idle_timeout = "0s"))).toEqual([]);
    const engine = { extProc: { messageTimeout: "200ms" }, limits: { bodyBytes: "1MiB" } };
    const bare = ({ filter, listener }: Parts): void => {
      delete filter.message_timeout;
      delete listener.per_connection_buffer_limit_bytes;
    };
    expect(warningsFor(bare, { engine })).toEqual([]);
  });

  test("another ext_proc filter beside this engine's, told apart by cluster or by port", () => {
    const other = { name: "other", typed_config: { "@type": EXT_PROC, failure_mode_allow: true } };
    expect(warningsFor(({ manager }) => manager.http_filters.push(other))).toEqual([]);
    const byPort = warningsFor(({ manager, filter, root }) => {
      filter.grpc_service.envoy_grpc.cluster_name = "engines";
      manager.http_filters.push(other);
      const endpoint = { address: { socket_address: { address: "10.0.0.1", port_value: 9001 } } };
      const endpoints = [{ lb_endpoints: [{ endpoint }] }];
      root.static_resources.clusters.push({ name: "engines", load_assignment: { endpoints } });
    });
    expect(byPort).toEqual([]);
    const unknown = warningsFor(({ manager, filter }) => {
      filter.grpc_service.envoy_grpc.cluster_name = "engines";
      manager.http_filters.push(other);
    });
    expect(unknown.map(({ code }) => code)).toContain("envoy-failure-mode-allow");
  });

  test.each([null, 1, "x", {}, { static_resources: [] }, { static_resources: { listeners: { a: 1 } } }])(
    "what is no bootstrap at all: %j",
    (root) => {
      const document = parseYaml(JSON.stringify(root), "envoy.yaml");
      const { config } = parseEngineConfig("routes: { path: r }", "e");
      const found = envoyWarnings(document, { config: config!, routes: new Set() });
      expect(found.map(({ code }) => code)).toEqual(["envoy-no-filter"]);
    },
  );
});
