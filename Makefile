# Every target sets up what it needs: on a fresh clone, `make train` is enough.
# Nothing beyond Python 3.11 or newer is expected of the system: all else comes from pip, into .venv.

PYTHON  ?= python3
ARGS    ?=
WORKERS ?= 2
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
THIRD   := .venv-third-party

# Some systems ask Python not to keep what it compiles: every command that a test starts would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup train test test-browser test-third-party test-slurm chaos mutations check format bench wheel clean

help: ## Show this list
	@echo 'usage: make TARGET [ARGS="..."]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Install everything into .venv, once and again when pyproject.toml or constraints.txt change

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Leyden needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

train: setup ## Train one experiment: make train ARGS="experiment=char_lm seed=3"
	@$(BIN)/leyden train $(ARGS)

test: setup ## Run the tests, all or some: make test ARGS="tests/unit -k csv"
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-browser: setup ## Look at what `leyden report` writes in a Chromium without a window, which has to be there
	@$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest -n 0 tests/browser $(ARGS)

test-third-party: $(THIRD)/.ready ## Run the tests with packages built on Lightning, in an environment of their own
	$(THIRD)/bin/python -m pytest -n $(WORKERS) --dist loadfile tests/third_party $(ARGS)

$(THIRD)/.ready: tests/third_party/requirements.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv $(THIRD)
	$(THIRD)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -e . -r tests/third_party/requirements.txt
	@touch $@

test-slurm: setup ## Run the tests on a SLURM cluster of their own, which they start; as root, on Debian
	$(BIN)/python -m pytest -n $(WORKERS) tests/slurm $(ARGS)

chaos: setup ## Kill runs at any moment and see whether they end as if nothing had happened: make chaos ARGS="--kills 300"
	$(BIN)/python -m tests.chaos $(ARGS)

mutations: setup ## Take each wall of the code away and see whether a test fails: make mutations ARGS="--only secret --jobs 2"
	$(BIN)/python -m tests.mutations $(ARGS)

check: setup ## Look for mistakes without running anything: lint, layout, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup ## Lay out the code, and mend what can be mended without thought
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## Measure speed beside other frameworks: make bench ARGS=--quick
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r experiments/bench/requirements.txt \
	  || echo "the optional contenders could not be installed: those that are missing are left out" >&2
	$(BIN)/python -m experiments.bench $(ARGS)

wheel: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## Remove caches and what was built; runs, data and .venv stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests experiments -name __pycache__ -type d -prune -exec rm -rf {} +
