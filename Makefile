# Every target works on a fresh machine: it installs what is missing first (see scripts/setup.sh).

.DEFAULT_GOAL := help
.PHONY: help setup build check test wheel book demo bench soak clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building and testing need
	scripts/setup.sh check
	scripts/setup.sh test

build: ## build the packhouse binary, optimised
	cargo build --release --bin packhouse

check: ## format, lints, licences and sources of the dependencies
	scripts/setup.sh check
	scripts/check.sh

test: ## every test, with a PostgreSQL and an S3 server of its own
	scripts/setup.sh test
	cargo test --workspace --no-run
	scripts/with-services.sh scripts/test.sh

wheel: ## the Python packages, optimised, in dist/
	scripts/setup.sh wheel
	scripts/wheel.sh

book: ## the guide as a website, in target/guide
	scripts/setup.sh book
	scripts/book.sh

demo: ## a server, the SDK and git at work, step by step
	scripts/setup.sh demo
	cargo build --release --bin packhouse
	scripts/demo.sh

bench: ## measure against git http-backend and write docs/benchmarks.md
	scripts/setup.sh bench
	cargo build --release --workspace
	PACKHOUSE_TEST_SKIP_S3=1 scripts/with-services.sh scripts/bench.sh

soak: ## the crash and concurrency tests, for several times SOAK_MINUTES (10)
	scripts/setup.sh test
	cargo build --release --workspace
	scripts/with-services.sh scripts/soak.sh

clean: ## remove everything that was built or installed below the checkout
	cargo clean
