# Needs python3.11+ with venv, make and git, nothing else. `make` alone lists the targets.
PYTHON ?= python3
PORT ?= 8000
# Two workers: each has its own database on one shared server, and two cores is what CI has.
WORKERS ?= 2
# More for pytest or the proofs: make test ARGS="-k booking"
ARGS ?=

BIN := .venv/bin
TOOLS := .venv-deploy/bin

.DEFAULT_GOAL := help
.PHONY: help install run test coverage proof bench bench-quick check lock lint-deploy clean
.SUFFIXES:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed ## .venv with the pinned requirements and `telemed`

run: .venv/installed ## the demo clinic on http://localhost:8000 (PORT=… for another port)
	@$(BIN)/telemed demo --serve --port $(PORT)

test: .venv/installed-dev ## the quick suite on a real PostgreSQL (ARGS="-k booking")
	$(BIN)/python -m pytest -n $(WORKERS) -m "not proof" $(ARGS)

coverage: .venv/installed-dev ## the quick suite with line and branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) -m "not proof" $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

proof: .venv/installed-dev ## the long runs: storms, kills, contract fuzzing (minutes)
	$(BIN)/python -m tests.proof $(ARGS)

bench: .venv/installed ## how fast it is on this machine: bench-report/report.html (half an hour)
	$(BIN)/telemed bench $(ARGS)

bench-quick: .venv/installed ## the same at a tiny scale, for its correctness only (three minutes)
	$(BIN)/telemed bench --quick $(ARGS)

check: .venv/installed-dev ## format, lint, types, layers, then the quick suite; what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict app
	$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory test

lock: .venv-deploy/installed ## compile the hash-pinned requirements from pyproject.toml (ARGS=--upgrade)
	$(compile) pyproject.toml -o requirements.txt
	$(compile) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(compile) --group build -o requirements-build.txt
	$(compile) --group deploy -o deploy/requirements.txt

lint-deploy: .venv-deploy/installed ## check Dockerfile, compose.yaml, the workflow and .ci/run; no engine needed
	$(TOOLS)/docker-compose -f compose.yaml config -q
	$(TOOLS)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(TOOLS)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(TOOLS)/hadolint Dockerfile
	$(TOOLS)/actionlint -shellcheck $(TOOLS)/shellcheck .github/workflows/ci.yml
	$(TOOLS)/shellcheck .ci/run

clean: ## remove everything made here but the data in .telemed
	rm -rf .venv .venv-deploy build dist *.egg-info .*_cache .hypothesis .coverage*
	find . -name __pycache__ -not -path './.telemed/*' -prune -exec rm -rf {} +

# A stamp is touched only after everything before it worked; an interrupted install starts over.
.venv/installed: requirements.txt requirements-build.txt pyproject.toml
	$(call make_venv,.venv)
	@echo "Installing the pinned requirements into .venv (once, about half a minute)"
	$(call pip_install,.venv,--require-hashes -r requirements.txt -r requirements-build.txt)
	$(call pip_install,.venv,--no-deps --no-build-isolation -e .)
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	@echo "Installing the pinned test tools into .venv"
	$(call pip_install,.venv,--require-hashes -r requirements-dev.txt)
	@touch $@

.venv-deploy/installed: deploy/requirements.txt
	$(call make_venv,.venv-deploy)
	@echo "Installing the pinned deployment tools into .venv-deploy"
	$(call pip_install,.venv-deploy,--require-hashes -r deploy/requirements.txt)
	@touch $@

# uv is used where it is on the PATH, because it is faster; it is never needed.
define make_venv
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, this is $$($(PYTHON) -V): make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@if command -v uv >/dev/null; then $(PYTHON) -m venv --without-pip $(1); \
	  elif $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(1); \
	  else echo "This Python cannot make virtual environments: apt-get install python3-venv"; exit 1; fi
endef

define pip_install
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(1)/bin/python $(2); \
	  else $(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2); fi
endef

compile = $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" $(ARGS)
