BIN := node_modules/.bin
BUN := $(BIN)/bun
# npm writes this file last: it is older than the lock file when there is something to install.
INSTALLED := node_modules/.package-lock.json

VERSION := $(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' package.json)
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help install build show-imports demo run test test-long ok bench bench-quick bench-micro generate clean

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install the pinned toolchain (done by the other targets where needed)

$(INSTALLED): package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

build: $(INSTALLED) ## Compile the example policies and the engine into dist/policy-engine
	$(BIN)/policy-builder build --manifest examples/policy-manifest.yaml --output dist \
		--build-version "$(VERSION)" --git-commit "$(COMMIT)"

show-imports: $(INSTALLED) ## Print the registry that the builder generates for the example policies
	@$(BIN)/policy-builder registry --manifest examples/policy-manifest.yaml

demo: $(INSTALLED) ## Send requests through a real Envoy and the compiled engine, and show each decision
	@$(BUN) scripts/demo.ts

run: build ## Run policies that read and change bodies on requests from files, without Envoy
	dist/policy-engine run --config examples/run/policy-engine.yaml --route customers \
		--request examples/run/valid.http --response examples/run/response.json
	dist/policy-engine run --config examples/run/policy-engine.yaml --route customers \
		--request examples/run/invalid.json

test: $(INSTALLED) ## Run every test, also those through the real Envoy
	@$(BUN) scripts/test.ts

test-long: $(INSTALLED) ## Run the model, the fuzzers, the expressions and the soak for longer
	@$(BUN) scripts/test-long.ts

ok: $(INSTALLED) ## Run every static check
	@$(BUN) scripts/ok.ts

bench: $(INSTALLED) ## Measure the engine against peers and Envoy alone, into bench/results (ARGS="--help")
	@$(BUN) scripts/bench.ts $(ARGS)

bench-quick: $(INSTALLED) ## The same in under three minutes, for a first look
	@$(BUN) scripts/bench.ts --quick $(ARGS)

bench-micro: $(INSTALLED) ## Measure parts of the engine by themselves: kernel, cel, transport, policies (ARGS=kernel)
	@$(BUN) scripts/bench-micro.ts $(ARGS)

generate: $(INSTALLED) ## Write generated code again: protobuf and the parameter types of the example policies
	$(BIN)/buf generate
	$(BIN)/policy-builder types --manifest examples/policy-manifest.yaml

clean: ## Remove what was built and fetched
	rm -rf dist .cache
