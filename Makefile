# The two commands of a newcomer are `make run` and `make test`; `make help` lists the rest.
# Everything is built by meson and ninja; this file only knows the order of the steps.
ARGS ?=
BUILD := build
MESON_SETUP := meson setup --buildtype=release
C_FILES = $(shell git ls-files '*.c' '*.h')
DOC_PAGES := settings commands compatibility metrics places events

.DEFAULT_GOAL := help
.PHONY: help run build install test test-tools demo model bench engine-soak kill-soak chaos mutants fmt fuzz asan tsan docs dashboards clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

run: build ## install what is missing, build, start the proxy; options: make run ARGS="--set redis.url=redis://host:6379"
	@exec $(BUILD)/convproxy $(ARGS)

build: $(BUILD)/build.ninja ## build the proxy and convctl
	@ninja -C $(BUILD) --quiet

# Again when the list of what is needed has changed: meson leaves a folder that is set up as it is.
$(BUILD)/build.ninja: scripts/install-deps
	@scripts/install-deps build
	@$(MESON_SETUP) -Dtests=false $(BUILD) >/dev/null || { cat $(BUILD)/meson-logs/meson-log.txt; exit 1; }
	@touch $@

install: build ## install what is built (as root) under meson's prefix, /usr/local; DESTDIR counts
	@meson install -C $(BUILD) --no-rebuild --quiet

test: test-tools ## unit, style and system tests, again under the sanitizers; ends with "N passed, N failed"
	@scripts/run-tests

demo: build ## Redis, an archive, the proxy, Prometheus, Alertmanager and chat clients; keys kill Redis; make demo ARGS=--tour shows it unattended
	@scripts/install-deps demo
	@PYTHONPATH=scripts exec python3 -m demo $(ARGS)

model: ## check the protocol's models with spin, the large ones too; writes the table in docs/model (ARGS="--only pin")
	@scripts/install-deps build test
	@scripts/model $(or $(ARGS),--size all --write)

bench: build ## compare with plain Redis and other proxies
	@scripts/install-deps bench
	@bench/run $(ARGS)

engine-soak: test-tools ## 1,000,000 random commands, the proxy (under ASan) on SQLite against redis-server; CONV_SEED replays a run
	@scripts/build build-asan -Dtests=true --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false -Db_lto=false
	@CONVPROXY_BIN=build-asan/convproxy CONV_SEED=$${CONV_SEED:-$$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')} CONV_ARCHIVE_COMMANDS=$${CONV_ARCHIVE_COMMANDS:-1000000} \
	    .venv/bin/python -m pytest -q -s tests/system/test_archive_differential.py::test_random_commands

kill-soak: build test-tools ## 100 rounds of kill -9 while clients write to the embedded archive; CONV_SEED replays a run
	@CONV_KILL_ROUNDS=$${CONV_KILL_ROUNDS:-100} .venv/bin/python -m pytest -q -s tests/system/test_archive_durability.py -k any_moment

chaos: build test-tools ## seeds of faults against both stores, checked: make chaos SEEDS=200 (ARGS="--archive ferretdb --proxies 3 --first 1")
	@.venv/bin/python -m tests.chaos --seeds $(or $(SEEDS),20) $(ARGS)

mutants: test-tools ## builds that lack one rule each, which the chaos checker must catch: make mutants ARGS="--only lww"
	@.venv/bin/python -m tests.chaos.mutants $(ARGS)

fmt: ## format all C files
	@scripts/install-deps fmt
	@clang-format -i $(C_FILES)

fuzz: ## build the fuzz targets with libFuzzer into build-fuzz
	@scripts/install-deps build test fuzz
	@CC=clang scripts/build build-fuzz -Dlibfuzzer=true -Db_sanitize=address,undefined -Db_lundef=false -Db_lto=false

asan: ## build with AddressSanitizer and UBSan into build-asan
	@scripts/install-deps build test
	@scripts/build build-asan -Db_sanitize=address,undefined -Db_lundef=false -Db_lto=false

tsan: ## build with ThreadSanitizer into build-tsan
	@scripts/install-deps build test
	@scripts/build build-tsan -Db_sanitize=thread -Db_lundef=false -Db_lto=false

docs: build ## write the reference pages from the tables
	@for page in $(DOC_PAGES); do $(BUILD)/convproxy --docs $$page > docs/$$page.md || exit 1; done
	@$(BUILD)/convctl --docs > docs/convctl.md

dashboards: ## write Grafana's dashboards from scripts/dashboards
	@PYTHONPATH=scripts python3 -m dashboards

clean: ## remove what was built
	@rm -rf build build-asan build-tsan build-fuzz

# What the system tests need beside the proxy. Each stamp is newer than the list it was made from.
test-tools: deps-test .venv/stamp tests/clients/node_modules/stamp test-clients test-servers

.PHONY: deps-test test-clients test-servers
deps-test:
	@scripts/install-deps build test demo

.venv/stamp: tests/requirements.txt tests/constraints.txt | deps-test
	@echo "python: installing the clients of tests/requirements.txt into .venv"
	@python3 -m venv .venv
	@.venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# ioredis 6 needs Node 20: with an older one its tests are skipped, and say so.
tests/clients/node_modules/stamp: tests/clients/package-lock.json tests/clients/package.json | deps-test
	@echo "node: installing ioredis and node-redis into tests/clients/node_modules"
	@cd tests/clients && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# Those that are compiled; silent when nothing changed.
test-clients: | deps-test
	@scripts/test-clients

# What stands in for MongoDB; silent when nothing changed.
test-servers: | deps-test
	@scripts/test-servers
