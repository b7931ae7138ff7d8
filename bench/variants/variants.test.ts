import { expect, test } from "bun:test";
import { validateEnvoyConfig } from "../../test/helpers/envoy.ts";
import { requestHeaders } from "../load/work.ts";
import { envoyFor } from "./envoy.ts";
import { makeToken } from "./token.ts";
import { allVariants, VARIANT_NAMES } from "./variants.ts";

const token = await makeToken();
const variants = allVariants(token);

test("every variant has a name of its own", () => {
  expect(new Set(VARIANT_NAMES).size).toBe(VARIANT_NAMES.length);
});

test("the work has twenty headers with h2load's own, each once", () => {
  const names = requestHeaders(token.token).map(([name]) => name);
  expect([names.length, new Set(names).size]).toEqual([19, 19]);
});

test.each(variants.filter(({ name }) => /^(envoy(?!.*body)|tonic$|engine-1$)/.test(name)))(
  "Envoy takes the configuration of $name",
  async (variant) => {
    const processorPort = variant.processor.kind === "none" ? undefined : 9001;
    const config = envoyFor(variant, { ...token, upstreamPort: 8000, processorPort });
    const { valid, output } = await validateEnvoyConfig(JSON.stringify(config));
    expect([valid, output]).toEqual([true, expect.anything()]);
  },
);
