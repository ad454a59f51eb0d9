# make            what there is to do
# make demo       see it work: a local stand-in for both services, a real Airflow, real pages
# make test       the whole test suite
# make system-test    every kill path on a real Airflow (half an hour at most)
#
# The first command builds `.venv` from PyPI. It needs Python 3.11 or later and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test system-test lint build bench constraints clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

venv: $(STAMP) ## the virtual environment .venv with everything (PYTHON=python3.12 chooses another Python)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This needs Python 3.11 or later, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the pinned packages into $(VENV) (a few minutes when they are not cached)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[sandbox,dev]'
	@touch $@

demo: $(STAMP) ## run the example DAGs; LIVE=1 uses the real services (costs a few credits)
	@$(BIN)/python -m tests.demo

test: $(STAMP) ## all tests; PYTEST_ARGS='-m "not airflow"' leaves out those that start Airflow
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

system-test: $(STAMP) ## every kill path on a real Airflow; PATHS='S1 D2' plays only these
	@$(BIN)/python -m tests.system $(PATHS)

lint: $(STAMP) ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict -p airflow_provider_jobs

build: $(STAMP) ## source distribution and wheel in dist/
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist .

bench: $(STAMP) ## what polling and large results cost
	@for file in benchmarks/*.py; do \
	  if [ -e "$$file" ]; then echo "$$file"; $(BIN)/python "$$file" || exit 1; else echo "there are no benchmarks"; fi; \
	done

constraints: $(STAMP) ## write constraints.txt from .venv; UPGRADE=1 takes the newest versions first
ifdef UPGRADE
	@$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager -e '.[sandbox,dev]'
endif
	@$(BIN)/python -m tests.support.constraints > $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt
	@touch $(STAMP)

clean: ## remove .venv and what builds and tools left
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
