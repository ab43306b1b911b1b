# Each target makes the environment first if it is missing or out of date: a fresh machine with
# make and Python 3.11 to 3.13 needs nothing else. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The first that runs, is of a supported version and can make environments. A shim of a version
# that is not installed exists but does not run, so each is tried. `make PYTHON=…` takes that one.
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
SUITABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

.PHONY: help train test check lint format types docs docs-serve lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

train: $(VENV)/.package ## train the default recipe on CIFAR-10 (else on digits): make train ARGS="--epochs 3"
	$(BIN)/cifarlab train --fallback digits $(ARGS)

test: $(VENV)/.package ## run the tests and the examples in docstrings: make test ARGS="-k data"
	$(BIN)/python -m pytest $(ARGS)

check: lint types test ## all that a change must pass: lint, format, types, architecture, tests

lint: $(VENV)/.package ## lint, and check the format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.package ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.package ## check the types
	$(BIN)/mypy

docs: $(VENV)/.package ## write the documentation into site/; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.package ## the same on this machine, renewed as its files change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict

lock: $(VENV)/.package ## renew requirements.txt from pyproject.toml
	$(PIP) install uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --fork-strategy fewest \
	  --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade --quiet \
	  --output-file requirements.txt

clean: ## remove the environment and everything built; runs/ stays
	rm -rf $(VENV) build dist site src/*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is a copy of what was installed, written last: an environment without it, or with
# another one, is half made or out of date, and is made anew.
$(VENV)/.locked: requirements.txt
	@if ! cmp -s requirements.txt $@; then \
	  rm -rf $(VENV); \
	  for python in $(PYTHONS); do \
	    "$$python" -c '$(SUITABLE)' 2>/dev/null && break; python=; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "error: no Python 3.11 to 3.13 with venv among: $(PYTHONS);" \
	      "install one (on Debian also python3-venv), or name it: make PYTHON=/its/path" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$python" --version): the packages of requirements.txt" \
	    "(a minute or two)"; \
	  "$$python" -m venv $(VENV) && $(PIP) install --require-hashes --only-binary :all: \
	    --no-compile -r requirements.txt || exit 1; \
	fi
	@cp requirements.txt $@

# The first start compiles what every start needs.
$(VENV)/.package: $(VENV)/.locked pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/cifarlab --version
	@touch $@
