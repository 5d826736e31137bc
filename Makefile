# `make demo` and `make test` need nothing but Python 3.11 or later with venv, and a package index.
# What more there is, such as npm, `make test` uses too, and says at its end what it could not test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 600
NODE_PACKAGES := tests/node/node_modules/.package-lock.json
DEBIAN_PACKAGES := chromium postgresql softhsm2

.PHONY: help demo test check bench mutants fuzz lock clean
.DELETE_ON_ERROR:

help:
	@echo "make demo   sealed workflows on a real Temporal server, and what the server stores"
	@echo "make test   all tests, with branch coverage"
	@echo "make check  ruff, mypy, pyright, doctests"
	@echo "make bench  the benchmarks, with tables"
	@echo "make mutants mutation testing of the encryption, about an hour"
	@echo "make fuzz   ten minutes of fuzzing what decodes (FUZZ_SECONDS=600)"
	@echo "make lock   pin the versions that development uses (requirements-dev.txt)"
	@echo "make clean  remove what these targets made"

demo: $(VENV)/.demo
	@$(BIN)/sealwire demo

test: $(VENV)/.dev $(NODE_PACKAGES) $(VENV)/.debian
	@PYTHON=$(BIN)/python ./tests/run.sh

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q -p no:cacheprovider --doctest-glob='*.md' README.md docs

bench: $(VENV)/.dev
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

fuzz: $(VENV)/.dev
	@$(BIN)/python tests/fuzz/fuzz_all.py $(FUZZ_SECONDS)

mutants: $(VENV)/.dev
	@$(BIN)/python -m pip install -qq --disable-pip-version-check 'cosmic-ray>=8.7,<9'
	@nice $(BIN)/python tests/mutation/run.py

lock: $(VENV)/.dev
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
		--extra all --extra demo --group dev --no-emit-index-url --custom-compile-command "make lock" \
		--output-file requirements-dev.txt

clean:
	rm -rf $(VENV) build dist src/*.egg-info .coverage* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sealwire needs Python 3.11 or later; fix: make PYTHON=/path/to/python3.x"; exit 1; }
	@echo "creating $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade pip

# The demo needs a part of what the tests need: whoever has run the tests installs nothing.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "installing what the demo needs …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml requirements-dev.txt | $(BIN)/python
	@echo "installing what development needs …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --editable .
	@touch $@ $(VENV)/.demo

# Never fails: whether the tests can do without it, `tests/conftest.py` decides.
$(NODE_PACKAGES): tests/node/package.json tests/node/package-lock.json tests/node/.npmrc
	@if command -v npm >/dev/null; then \
		echo "installing what the tests with Node.js need …"; \
		cd tests/node && npm ci --no-audit --no-fund --ignore-scripts && touch ../../$@ || \
			echo "npm could not install the packages of tests/node"; \
	fi

# Only where it may, as in a container; never fails either.
$(VENV)/.debian: Makefile | $(BIN)/python
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		dpkg --status $(DEBIAN_PACKAGES) >/dev/null 2>&1 || { \
			echo "installing $(DEBIAN_PACKAGES) for the tests …"; \
			apt-get -qq update; \
			for package in $(DEBIAN_PACKAGES); do \
				DEBIAN_FRONTEND=noninteractive \
					apt-get -qq install --no-install-recommends $$package >/dev/null || \
					echo "apt-get could not install $$package"; \
			done; \
		}; \
	fi
	@touch $@
