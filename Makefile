# Needs Python 3.11 or later and nothing else; everything is installed under .venv and .parts.
PYTHON ?= python3
DATA ?= $(wildcard ../shared/data)
BASE ?=
EXIT ?=
KAFKA ?=
K ?=

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv --quiet --no-progress
INSTALL := $(UV) pip install --python $(BIN)/python --require-hashes
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
COMPILE_IMAGE := $(subst --universal,--python-platform x86_64-manylinux_2_28,$(COMPILE))
HELM_PACKAGE := helm.sh/helm/v3/cmd/helm@v3.19.2

.DEFAULT_GOAL := help
.PHONY: help setup dev demo test check bench dashboards chart image lock parts export report clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo EXIT=1       ends when its story is told;  KAFKA=1  plays it through a real broker (Java, Maven)"
	@echo "  make lock UPGRADE=1    takes the newest versions that pyproject.toml allows"
	@echo "  make test DATA=DIR     also runs the tests on public data sets in DIR;  SLOW=1  those over ten seconds too;  K=EXPRESSION  selects tests"

setup: $(VENV)/.stamp-setup ## Make .venv and install tiltmeter with all it needs to fit and run

dev: $(VENV)/.stamp-dev ## The same, with what tests and checks need

demo: $(VENV)/.stamp-setup $(if $(KAFKA),.parts/kafka/.stamp) ## Fit a bundle and watch a scripted week of production
	TILTMETER_KAFKA_LIBS=$(CURDIR)/.parts/kafka/libs $(BIN)/tiltmeter demo $(if $(EXIT),--exit) $(if $(KAFKA),--kafka)

test: $(VENV)/.stamp-dev parts ## Run the tests; missing real parts are named at the end
	$(BIN)/python -m pytest -q $(if $(SLOW),,-m "not slow") $(if $(DATA),--data=$(abspath $(DATA))) $(if $(K),-k "$(K)")

check: $(VENV)/.stamp-dev ## Lint, formatting, types, layers, generated files, alert rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m dashboards.build --check
	$(BIN)/python -m helm.build --check
	@if command -v promtool >/dev/null; then promtool check rules --lint=all --lint-fatal dashboards/rules/*.yaml; \
	else echo "promtool is missing: alert rules were not checked"; fi

bench: $(VENV)/.stamp-dev ## Run the long simulations and speed measurements (tens of minutes)
	$(BIN)/python -m benchmarks $(if $(DATA),--data $(abspath $(DATA)))

dashboards: $(VENV)/.stamp-dev ## Write dashboards/json again from the code
	$(BIN)/python -m dashboards.build

chart: $(VENV)/.stamp-dev ## Write again what the chart has from elsewhere: rules, dashboards, schema, its README
	$(BIN)/python -m helm.build

image: ## Build the container images (needs docker; BASE=IMAGE@sha256:... is a Python 3.11 image)
	@case "$(BASE)" in *@sha256:*) ;; *) echo "say which image to build on, by digest: make image BASE=python:3.11-slim-bookworm@sha256:..."; exit 2;; esac
	docker build --target cpu --tag tiltmeter:0.1.0-cpu --build-arg BASE=$(BASE) .
	docker build --target gpu --tag tiltmeter:0.1.0-gpu --build-arg BASE=$(BASE) .

parts: ## Fetch what tests need and can be had without root: Kafka's jars (Maven), helm (Go)
	@if command -v mvn >/dev/null && command -v java >/dev/null; then $(MAKE) --no-print-directory .parts/kafka/.stamp; fi
	@if ! command -v helm >/dev/null && command -v go >/dev/null; then $(MAKE) --no-print-directory .parts/bin/helm; fi

export: $(VENV)/.stamp-setup ## Add sentence-transformers and torch (5 GB), for encoders that the builder does not know
	$(INSTALL) -r requirements/export.txt

report: $(VENV)/.stamp-setup ## Add evidently, for its reports
	$(INSTALL) -r requirements/report.txt

lock: $(VENV)/.stamp-tools ## Resolve all requirements again: versions and hashes, no addresses
	$(COMPILE) requirements/tools.in -o requirements/tools.txt
	$(COMPILE) --no-deps requirements/encoder.in -o requirements/encoder.txt
	$(COMPILE) pyproject.toml -o requirements/base.txt
	$(COMPILE) pyproject.toml --extra parquet --extra postgres --extra grafana -c requirements/base.txt -o requirements/setup.txt
	$(COMPILE) pyproject.toml --extra parquet --extra postgres --extra grafana --extra dev -c requirements/base.txt -c requirements/tools.txt -c requirements/setup.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra parquet --extra postgres --extra grafana --extra gpu -c requirements/setup.txt -o requirements/gpu.txt
	$(COMPILE_IMAGE) pyproject.toml requirements/cpu.in --extra parquet --extra postgres --extra grafana --override requirements/cpu-overrides.in -c requirements/setup.txt -o requirements/cpu.txt
	$(COMPILE) pyproject.toml --extra export -c requirements/setup.txt -o requirements/export.txt
	$(COMPILE) pyproject.toml --extra report -c requirements/setup.txt -o requirements/report.txt

clean: ## Remove .venv, .parts and caches
	rm -rf $(VENV) .parts .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info build

$(VENV)/.stamp-tools: requirements/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tiltmeter needs Python 3.11 or later; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@

$(VENV)/.stamp-setup: $(VENV)/.stamp-tools requirements/setup.txt requirements/encoder.txt pyproject.toml
	$(INSTALL) -r requirements/setup.txt
	$(INSTALL) --no-deps -r requirements/encoder.txt
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-setup requirements/dev.txt
	$(INSTALL) -r requirements/dev.txt
	@touch $@

.parts/kafka/.stamp: tests/parts/kafka-pom.xml
	@mkdir -p .parts/kafka
	mvn -B -q -f tests/parts/kafka-pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/.parts/kafka/libs
	@touch $@

.parts/bin/helm:
	@mkdir -p .parts/bin
	GOBIN=$(CURDIR)/.parts/bin GOFLAGS=-mod=mod go install $(HELM_PACKAGE)
