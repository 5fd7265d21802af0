# Everything runs from .venv, which `make` fills from the lock (requirements.txt) on first use.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
FUNDS ?= 50
SEED ?= 1
MINUTES ?= 30
SECONDS ?= 60
RATE ?= 250
PYTEST := $(BIN)/pytest
# Some images set it; every one of the many processes would then compile all that it imports anew, at twice the CPU time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo demo-orders stop status test unit integration fault-short e2e fault soak bench audit lint format lock clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## Install the locked packages into .venv

.venv/.installed: requirements.txt requirements-bootstrap.txt pyproject.toml tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py

demo: install ## Run one whole EOD day on the local stack: make demo FUNDS=500 DATE=2026-11-20
	@$(BIN)/feedline demo --funds $(FUNDS) --seed $(SEED) $(if $(DATE),--business-date $(DATE))

demo-orders: install ## Run a minute of orders on the local stack: make demo-orders SECONDS=20 RATE=100
	@$(BIN)/feedline orders demo --seconds $(SECONDS) --rate $(RATE)

stop: ## Stop the local stack; its data stays
	@if [ -x $(BIN)/feedline ]; then $(BIN)/feedline stack down; fi

status: install ## Show the local stack
	@$(BIN)/feedline stack status

test: unit integration fault-short e2e ## Run all tests

unit: install ## Run the tests that need no service
	@$(PYTEST) tests/unit -n 2

integration: install ## Run the tests against a real broker, a real registry and the warehouse stand-in
	@$(PYTEST) tests/integration -m "not long" -n 3 --dist loadfile

fault-short: install ## Run the part of the fault tests that every change is held to
	@$(PYTEST) tests/fault/short

fault: install ## Run all fault tests on three brokers, then the long tests of the other suites; writes a report and a picture to .local/fault: make fault SEED=7
	@FEEDLINE_FAULT_SEED=$(SEED) FEEDLINE_FAULT_REPORT=$(CURDIR)/.local/fault $(PYTEST) tests/fault
	@$(PYTEST) tests/integration -m long
	@$(PYTEST) tests/e2e -m long

soak: install ## Mix load and faults at random on three brokers: make soak MINUTES=30 SEED=7 REBALANCE=eager
	@cd tests && ../$(BIN)/python -m fault.soak $(MINUTES) $(SEED) ../.local/soak $(REBALANCE)

e2e: install ## Run both Dags in Airflow, and the browser tests
	@$(PYTEST) tests/e2e -m "not long"

bench: install ## Measure, side by side in one run, and store the tables in benchmarks/results: make bench ONLY=consumers
	@$(BIN)/python -m benchmarks.run $(if $(ONLY),--only $(ONLY)) $(if $(RUNS),--runs $(RUNS))
	@[ -n "$(ONLY)" ] || $(BIN)/python -m benchmarks.discovery
	@$(if $(ONLY),,$(BIN)/python -m benchmarks.schema_lookup && $(BIN)/python -m benchmarks.provisioning)

lint: install ## Check style, types and formatting
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary

audit: install ## Look up known weaknesses of the locked packages; says so when it cannot
	@$(BIN)/python tools/audit.py

format: install ## Format the sources
	@$(BIN)/ruff check --quiet --fix . && $(BIN)/ruff format --quiet .

lock: install ## Resolve pyproject.toml again and write the lock files
	@$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --all-extras --group dev \
	  --generate-hashes --no-annotate --custom-compile-command "make lock" -o requirements.txt
	@printf 'editables\nhatchling>=1.27\npip\nuv\n' | $(BIN)/uv pip compile - --quiet --upgrade -c requirements.txt \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
	  -o requirements-bootstrap.txt

clean: ## Stop the local stack and delete everything that was made
	@if [ -x $(BIN)/feedline ]; then $(BIN)/feedline stack down; fi
	@rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
