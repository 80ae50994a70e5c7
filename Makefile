# `make run` and `make test` set everything up; they need python3 (3.11 to 3.13), make and git.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NOTEBOOKS := $(shell find nbs -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*')
# A process a core; tests/conftest.py puts the files that take minutes first.
PARALLEL := -n logical --dist loadfile --no-loadscope-reorder

.PHONY: run test test-fast test-quick lint setup system bench docs lock readme notebooks clean help

help:             ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: setup        ## set up, then the main job on the flights sample and on its Brazilian twin
	$(BIN)/vur run data/flights_daily.csv --country US --name flights
	$(BIN)/vur run data/partidas_diarias.csv --country US --name partidas --language pt-BR

test: setup system lint  ## set up, then all tests, a process a core
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: setup  ## the tests that take seconds
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not browser"

test-quick: setup ## run these first: ground, stages and scoring without whole trainings, under a minute
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not browser" tests/ground tests/stages tests/scoring \
	  --ignore tests/stages/test_training_stage.py

lint: setup       ## ruff and mypy: hand-written code is formatted and free of errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/mypy_budget.py

setup: $(READY)   ## make the environment in .venv, with every extra

$(READY): requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"VUR needs Python 3.11 to 3.13; $(PYTHON) is {v[0]}.{v[1]}. Try: make $(MAKECMDGOALS) PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then \
	  VIRTUAL_ENV=$(abspath $(VENV)) uv pip install --quiet --require-hashes -r requirements.lock; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

system:           ## Debian packages that browser tests need (as root; says what it skips elsewhere)
	@sh tests/system-packages.sh

bench: setup      ## all benchmarks, table in reports/benchmarks.md (about an hour)
	$(BIN)/python benchmarks/run_all.py

notebooks: setup  ## export nbs/ to vur/, run and save the notebooks, clean them, make README.md
	$(BIN)/nbdev-export
	$(BIN)/nbdev-test --save --skip-folder-re '^(runs|\.ipynb_checkpoints)$$' nbs
	$(BIN)/nbdev-clean
	$(MAKE) readme

docs: setup       ## the site of guides and API reference
	$(BIN)/mkdocs build --strict

readme: setup     ## README.md from nbs/index.ipynb
	$(BIN)/python nbs/make_readme.py

lock:             ## resolve requirements.lock anew (needs uv); what it holds already keeps its version
	uv pip compile pyproject.toml --extra all --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --quiet -o requirements.lock

clean:            ## remove the environment and caches, keep data home and reports
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
