# Everything runs from .venv, which `install` makes; only python3 (3.11 or newer) and make are needed.
PYTHON ?= python3
JOBS ?= 2
# Tests that start servers mostly wait: four at a time keep two cores busy.
SLOW_JOBS ?= 4
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := schemas agents topology gateway
FAST := $(wildcard tests/unit tests/simulation clients/python/tests)
SLOW := $(wildcard tests/contracts tests/channels tests/wiring tests/integration tests/acceptance tests/browser)

.DEFAULT_GOAL := help
.PHONY: help install demo dev test check format race bench chaos clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv and install Clepsydra with all it needs (again only when pyproject.toml changes)

$(STAMP): pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Clepsydra needs Python 3.11 or newer: '$(PYTHON)' is missing or older." >&2; \
		echo "Install one, or name it: make PYTHON=python3.12 install" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e clients/python -e '.[dev]'
	@touch $@

demo: $(STAMP) ## Start everything, send the 8:00 spike to a receiver that checks keys, tell how it went
	$(BIN)/clepsydra demo

dev: $(STAMP) ## Start everything on this machine; Ctrl-C stops it
	$(BIN)/clepsydra dev

test: check ## check, then the tests that start real servers, four at a time: about ten minutes
	$(BIN)/pytest $(SLOW) -n $(SLOW_JOBS) --dist loadfile

check: $(STAMP) ## Formatting, lint, types, layers, unit tests and the simulation: no servers, two or three minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(FAST) -n $(JOBS)

format: $(STAMP) ## Format the code and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

race: $(STAMP) ## Edits and cancels around one due instant, 20 times in a row: every answer against what was received
	CLEPSYDRA_RACE_RUNS=20 $(BIN)/pytest tests/acceptance/test_race.py -q -o log_cli=true --log-cli-level=INFO

bench: $(STAMP) ## Measure: lateness, drain time, memory, recovery
	$(BIN)/python -m benchmarks

chaos: $(STAMP) ## Break everything, 50 times, under load: nothing may be lost, early, repeated or untrue (15 min)
	$(BIN)/python tests/chaos/run.py $(ARGS)

clean: ## Remove .venv, caches and local data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .clepsydra build dist
	find $(PACKAGES) clients tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
