# Needs only make and Python 3.11 or newer; each target installs the rest into .venv first.
.DEFAULT_GOAL := help
.PHONY: help demo scenario test lint bench clean

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
export PYTHONUTF8 := 1

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## the main job on real texts and images, in about three minutes
	@$(PYTHON) examples/demo.py

scenario: $(INSTALLED) ## NAME=log-routing or NAME=misrouting, end to end; options go into ARGS
	@test -n "$(NAME)" || { echo "Name one: make scenario NAME=log-routing, or misrouting" >&2; exit 2; }
	@$(PYTHON) examples/$(subst -,_,$(NAME)).py $(ARGS)

test: lint ## everything that CI runs
	$(PYTHON) -m pytest -n auto --dist worksteal

lint: $(INSTALLED) ## style, types and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(INSTALLED) ## the benchmark; options go into ARGS
	$(PYTHON) -m benchmarks $(ARGS)

clean: ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A file marks a finished installation, so that the second call is quick and a cut-off one repeats.
$(INSTALLED): pyproject.toml constraints.txt
	@set -e; \
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		for python in python3.11 python3.12 python3.13 python3.14 python3 none; do \
			$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		done; \
		if [ $$python = none ]; then \
			echo "Leaven needs Python 3.11 or newer, and none was found. Install it and try again." >&2; \
			exit 1; \
		fi; \
		$$python -m venv --clear $(VENV); \
	fi
	$(PYTHON) -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	@touch $@
