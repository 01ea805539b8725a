# Nothing has to be set up before: each target makes .venv when it is missing and installs what it needs with pip.
#   make demo                      two emulated fleets, scanned over HTTP
#   make test PYTHON=python3.12    the tests, in an environment of another Python

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# A Python that was asked for and differs from the environment's own means a new environment. This is settled while the
# Makefile is read: make would otherwise trust the stamps of the environment that goes away.
ifneq ($(origin PYTHON),file)
WANTED := $(shell $(PYTHON) -c 'import sys; print(sys.version if sys.version_info >= (3, 11) else "")' 2>/dev/null)
ifeq ($(WANTED),)
$(error PYTHON=$(PYTHON) does not run, or is older than Python 3.11)
endif
ifneq ($(wildcard $(BIN)/python),)
ifneq ($(WANTED),$(shell $(BIN)/python -c 'import sys; print(sys.version)' 2>/dev/null))
$(info Removing $(VENV): it was made with another Python)
$(shell rm -rf $(VENV))
endif
endif
endif

# The tests start hundreds of processes. Where bytecode is not to be written, each would compile the library anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo picture test lint types check bench docs clean

help:
	@echo 'make demo    scan two emulated fleets over HTTP'
	@echo 'make test    run the tests with branch coverage'
	@echo 'make lint    ruff and the import rules'
	@echo 'make types   mypy and pyright, both strict'
	@echo 'make check   test, lint and types'
	@echo 'make bench   the benchmarks in their smallest form; the figures: make bench ARGS=--pairs=11'
	@echo 'make picture draw the terminal of the demo anew, for the README'
	@echo 'make docs    build the site into site/, and check it'
	@echo 'make clean   remove the environment and everything generated'

demo: $(VENV)/.installed-cli
	@$(BIN)/otaclient demo $(ARGS)

picture: $(VENV)/.installed-cli
	$(BIN)/otaclient demo --picture docs/assets/demo.svg --force

# What plays thousands of scans, or runs the library in processes of their own, is run without a coverage tracer, which
# would take most of the time.
UNTRACED := tests/adversary tests/docs tests/e2e tests/journeys tests/soak \
	$(filter-out %/test_backend_promises.py, $(wildcard tests/conformance/test_*.py)) \
	tests/emulator/test_hidden_capacity.py tests/emulator/test_iotda_filters.py tests/emulator/test_iotda_search.py \
	tests/emulator/test_many_clients.py tests/properties/test_row_engines.py tests/unit/test_load_open_model.py \
	tests/unit/test_loop_watch.py tests/unit/test_pytest_plugin.py tests/unit/test_scan_ends.py
# Many of these wait for others: processes that start, services with a limit, jobs that are polled.
TWO_MORE = $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 2)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal $(UNTRACED:%=--ignore %) --cov --cov-report=term --cov-fail-under=95 $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m pytest -n $(TWO_MORE) --dist worksteal $(UNTRACED))

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

check: test lint types

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks $(or $(ARGS),--smoke)

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	OTACLIENT_SITE=site $(BIN)/python -m pytest -q tests/docs/test_site.py

clean:
	rm -rf $(VENV) build dist site htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find otaclient backends tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'otaclient needs Python 3.11 or later. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	@echo 'Creating $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip || true  # an older one works as well, and takes longer

# One stamp per extra; a newer pyproject.toml makes pip look again.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "Installing otaclient[$*] into $(VENV)"
	@$(PIP) install -e '.[$*]'
	@touch $@
