# One command for each thing one does here: `make help`.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check rows screenshots bench clean
MAKEFLAGS += --no-print-directory

# The Python to build the environment with: make PYTHON=/path/to/python3.12 setup
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/bin/uv
BIN := .venv/bin

help: ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

setup: .venv/.ready ## Make the environment in .venv (the others do it by themselves)
	@:

demo: setup ## A city of simulated banks, one rental told step by step, links to open
	@$(BIN)/lendwatt demo

test: setup ## Every test; first installs Debian's mosquitto and chromium where it may
	@.ci/programs
	@$(BIN)/pytest -q -n auto --dist worksteal

check: setup ## Format, lint, types, import arrows, published contract, lock file
	@$(BIN)/ruff format --check --quiet . || { echo 'Run: $(BIN)/ruff format .'; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m gateway.contract --check
	@$(UV) lock --check --quiet --no-python-downloads || { echo 'uv.lock does not fit pyproject.toml. Run: $(UV) lock'; exit 1; }

rows: setup ## Every row of the spec: pass, fail or missing
	@.ci/programs
	@$(BIN)/python -m tests.rows

screenshots: setup ## Pictures of every page, in both languages, phone and desktop, into screenshots/
	@.ci/programs
	@LENDWATT_SCREENSHOTS=screenshots $(BIN)/pytest -q tests/browser

bench: setup ## Messages per second and latencies, beside their floors
	@$(BIN)/python -m tests.benchmarks.run

clean: ## Take away everything that this file made
	@rm -rf .uv .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find gateway backend firmware_sim tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A private uv, of one version, so that nothing of the machine's is used or changed.
.uv/.$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Lendwatt needs Python 3.11 or newer, and $(PYTHON) is not that.'; \
	  echo 'Install one, or name one: make PYTHON=/path/to/python3.11 setup'; exit 1; }
	@echo 'Setting up; this happens once.'
	@$(PYTHON) -m venv --clear .uv || { \
	  echo 'Python cannot make environments here. On Debian: apt-get install python3-venv'; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.ready: pyproject.toml uv.lock .uv/.$(UV_VERSION)
	@$(UV) sync --frozen --quiet --no-python-downloads --python .uv/bin/python
	@touch $@
