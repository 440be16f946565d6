# One line a task; `make` alone lists them.
CARGO ?= cargo
PYTHON ?= python3
VENV := .venv
SSMWIRE := target/debug/ssmwire
FUZZ_SECONDS ?= 10

help: ## list the tasks
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: build ## a command and a shell on the embedded emulator, with timings
	@cli/demo.sh $(SSMWIRE)

build: ## build the ssmwire command (debug)
	$(CARGO) build --locked -p ssmwire-cli

test: check rust-test c-test go-test loom conformance servers python-test node-test fuzz-smoke ## everything

check: ## format, lints, licences, and that the protocol builds alone
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p ssmwire --no-default-features -- -D warnings
	$(CARGO) run --locked -q -p xtask -- deny

rust-test: ## unit, integration, simulation and documentation tests
	$(CARGO) test --locked --workspace

sim: ## many more seeds of the simulation: make sim SEEDS=20000
	SEEDS=$(or $(SEEDS),20000) $(CARGO) test --locked -p ssmwire --test simulation -- --nocapture

soak: ## minutes of transfers through a bad network
	$(CARGO) test --locked --release -p ssmwire --test sockets soak -- --ignored --nocapture

# Builds what rust-test builds, the command included: a build of the command alone has other features, and would
# compile the AWS SDK a second time.
conformance: $(VENV)/ready ## boto3 and the AWS CLI against the emulator
	$(CARGO) test --locked --workspace --no-run
	SSMWIRE=$(abspath $(SSMWIRE)) $(VENV)/bin/python -m pytest -q emulator/tests/python

# A wheel in the development profile and with the features of the tests: others would compile the AWS SDK once more.
# `make python-test WHEEL=--release` tests the wheel that is published.
WHEEL ?= --profile dev --features as-in-tests
WHEELS = $(abspath $(or $(CARGO_TARGET_DIR),target))/wheels
python-test: $(VENV)/ready ## the Python package: its wheel, tests, types and style
	bindings-python/shares-artefacts.sh
	rm -rf $(WHEELS)
	cd bindings-python && $(abspath $(VENV))/bin/maturin build --locked $(WHEEL) --out $(WHEELS)
	$(VENV)/bin/pip install -q --no-deps --force-reinstall $(WHEELS)/ssmwire-*.whl
	cd bindings-python && SSMWIRE_WHEELS=$(WHEELS) $(abspath $(VENV))/bin/python -m pytest
	SSMWIRE=$(abspath $(VENV))/bin/ssmwire $(VENV)/bin/python -m pytest -q emulator/tests/python/test_plugin.py
	cd bindings-python && $(abspath $(VENV))/bin/python -m mypy python/ssmwire examples
	cd bindings-python && $(abspath $(VENV))/bin/python -m mypy.stubtest --ignore-disjoint-bases ssmwire._native
	cd bindings-python && $(abspath $(VENV))/bin/ruff check && $(abspath $(VENV))/bin/ruff format --check

# In the profile and with the features of rust-test, so that nothing is compiled twice. The library is of no test, so
# --lib asks for it.
LIBRARIES = $(abspath $(or $(CARGO_TARGET_DIR),target))/debug/deps
node-test: $(VENV)/ready ## the Node package: tests, also from its tarballs, its examples, types and style
	cli/tests/servers/install.sh
	bindings-node/examples/test/install.sh
	$(CARGO) build --locked --workspace --lib --tests
	cd bindings-node && npm ci --no-audit --no-fund
	cd bindings-node && SSMWIRE_NATIVE=$(LIBRARIES)/libssmwire_node.so npm run build
	cd bindings-node && npm run lint && npm run types && npm test
	SSMWIRE=$(abspath bindings-node/bin/ssmwire.js) $(VENV)/bin/python -m pytest -q emulator/tests/python/test_plugin.py
	cd bindings-node/examples && npm ci --no-audit --no-fund && npm test

servers: $(VENV)/ready ## OpenSSH, PostgreSQL, Redis and nginx through the command
	cli/tests/servers/install.sh
	$(CARGO) test --locked --workspace --no-run
	SSMWIRE=$(abspath $(SSMWIRE)) $(VENV)/bin/python -m pytest -q cli/tests/servers

# What rust-test leaves out of the C and C++ suite, since not every machine has it: valgrind, CMake, clang-format.
c-test: ## the C and C++ programs under valgrind, their format, and the installation
	ffi/tests/install.sh
	clang-format --dry-run -Werror ffi/tests/c*/*.[ch]* ffi/tests/consumer/*.c* ffi/examples/* include/ssmwire.hpp
	$(CARGO) test --locked --workspace --test programs --test installed -- --ignored

# What the tests of the workspace build has the library in deps.
go-test: ## the Go module: vet, format, tests with the race detector
	$(CARGO) test --locked --workspace --no-run
	SSMWIRE=$(abspath $(SSMWIRE)) bindings-go/with-library.sh $(dir $(abspath $(SSMWIRE)))deps ./test.sh

loom: ## every order in which threads can meet in the waiting and the handles
	cd loom && RUSTFLAGS="--cfg loom" $(CARGO) test --locked -q --target-dir target

fuzz-smoke: ## every fuzz target for a few seconds, on the committed corpus
	fuzz/run.sh $(FUZZ_SECONDS)

RELEASE = $(abspath $(or $(CARGO_TARGET_DIR),target))/release
bench: ## measure, and write RESULTS.md in benches/ and ffi/benches/; figures are ratios within one run
	$(CARGO) bench --locked -p ssmwire
	$(CARGO) bench --locked -p ssmwire-ffi --bench overhead --no-run
	bindings-go/with-library.sh $(RELEASE)/deps go build -o $(RELEASE)/go-bench ./internal/bench
	bindings-go/with-library.sh $(RELEASE)/deps env SSMWIRE_GO_BENCH=$(RELEASE)/go-bench \
		$(CARGO) bench --locked -p ssmwire-ffi --bench overhead

python-bench: $(VENV)/ready ## measure the Python package, beside aws-ssm-bridge if that is installed; as root
	cd bindings-python && $(abspath $(VENV))/bin/maturin build --locked --release --out $(RELEASE)/wheels
	$(VENV)/bin/pip install -q --no-deps --force-reinstall $(RELEASE)/wheels/ssmwire-*.whl
	bindings-python/benches/with-names.sh $(VENV)/bin/python bindings-python/benches/compare.py $(RELEASE)/wheels/ssmwire-*.whl

node-bench: ## measure the Node package, beside npm's ssm-session if SSM_SESSION names where that and ws are installed
	cd bindings-node && npm ci --no-audit --no-fund && npm run build
	$(CARGO) bench --locked -p ssmwire-node
	cd bindings-node && npx biome format --write bench

docs: ## the API documentation
	$(CARGO) doc --locked --no-deps -p ssmwire -p ssmwire-emulator

PREFIX ?= /usr/local
PROFILE ?= dist
BUILT = $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# The library without the rlib of the tests: it would keep the linker from optimising the whole.
install: ## the command, and the C library with its header, pkg-config and CMake files: make install PREFIX=/usr
	$(CARGO) build --locked --profile $(PROFILE) -p ssmwire-cli
	$(CARGO) rustc --locked --profile $(PROFILE) -p ssmwire-ffi --lib --crate-type cdylib,staticlib
	ffi/install/install.sh $(BUILT) $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILT)/ssmwire $(DESTDIR)$(PREFIX)/bin/ssmwire

dist: ## the small, slow-to-build command for packages
	$(CARGO) build --locked --profile dist -p ssmwire-cli

$(VENV)/ready: emulator/tests/python/requirements.txt bindings-python/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q $(addprefix -r ,$^)
	touch $@

.PHONY: help demo build test check rust-test sim soak c-test go-test loom conformance servers python-test node-test fuzz-smoke bench python-bench node-bench docs install dist
