# Everything that a machine with Python 3.11 or newer needs; `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# a process for every core and a thread for each: threads of small tensors only wait for each other
ONE := OMP_NUM_THREADS=1
PYTEST := $(ONE) $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal
QUICK := not slow and not bench
# bytecode is written when a module is first imported: compiling all of 2 GB takes a minute and a half
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# what `make check` runs beside the doctests: mathematics, interventions, vocabulary; no programs, trainings or pages
UNIT := $(wildcard tests/probes/test_*.py) $(wildcard tests/interp/test_*.py) tests/circuits/interventions tests/interp/activations

.DEFAULT_GOAL := help
.PHONY: help demo check test shapes lint types slow bench gpu fuzz notebooks evidence docs gallery pictures lowest newest lock clean

help: ## list the targets
	@grep -hE '^[a-z]+( [a-z]+)*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: $(VENV)/.run ## install into .venv, then report/index.html from the run that ships: minutes the first time, then three quarters of one
	$(BIN)/interp demo --out report

check: $(VENV)/.dev ## lint, types, doctests and unit tests in under a minute: the inner loop
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/pyright --pythonpath $(BIN)/python > $(VENV)/types.txt & types=$$!; \
	$(ONE) $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal -m "$(QUICK) and not browser and not notebook" interp probes circuits $(UNIT); tests=$$?; \
	wait $$types; typed=$$?; cat $(VENV)/types.txt; exit $$((tests + typed))

test: $(VENV)/.dev lint ## lint, types and all tests: what every change must pass
	@$(BIN)/pyright --pythonpath $(BIN)/python > $(VENV)/types.txt & types=$$!; \
	$(PYTEST) -m "$(QUICK)"; tests=$$?; \
	wait $$types; typed=$$?; cat $(VENV)/types.txt; exit $$((tests + typed))

# which tests can bear it, tests/conftest.py says
shapes: $(VENV)/.dev ## tests of probes and circuits with the shapes in their signatures checked at every call: three minutes
	$(PYTEST) -m "shaped and $(QUICK)" tests/probes tests/circuits --jaxtyping-packages=probes,circuits,beartype.beartype

lint: $(VENV)/.dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

slow: $(VENV)/.dev ## kills, dead workers, trainings over Dask, notebooks, the site, a whole report on a real network: minutes
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.dev ## timings against plain loops, with their bounds: minutes
	$(BIN)/python -m pytest -m bench -s

gpu: $(VENV)/.dev ## on a machine with CUDA: checks, timings and a sweep of 1,000 members into gpu.md, under five minutes
	$(BIN)/python -m tests.gpu

fuzz: $(VENV)/.dev ## 20,000 mutated files, folders and texts for every reader: a quarter of an hour
	$(ONE) $(BIN)/python -m tests.fuzz

notebooks: $(VENV)/.dev ## every notebook at laptop size, outputs stored; NOTEBOOKS="sparse_parity" for some; a quarter of an hour
	$(BIN)/python examples/execute.py $(NOTEBOOKS)
	$(BIN)/python examples/claims.py

evidence: $(VENV)/.dev ## the runs behind the claims at the sources' sizes, hours; Ctrl-C, and the same command goes on
	$(BIN)/python examples/long_runs/evidence.py
	$(BIN)/python examples/claims.py

docs: $(VENV)/.dev ## site/index.html: guides, notebooks and API reference, warnings as errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs site

pictures: $(VENV)/.dev ## the README's pictures: the demo's report in Chromium, and the gallery out of the notebooks
	$(BIN)/python docs/pictures.py

gallery: $(VENV)/.dev ## a report on every kind of network, for the site: minutes
	$(BIN)/python docs/gallery.py

# the oldest torch that pyproject.toml allows, and the newest of everything, each in an environment of its own
lowest: ## all tests with the oldest torch that pyproject.toml allows
	$(MAKE) .venv-lowest/.tested FIRST="torch==$$(sed -n 's/^ *"torch>=\([0-9.]*\)".*/\1/p' pyproject.toml).*"

newest: ## all tests with the newest release of everything
	$(MAKE) .venv-newest/.tested FIRST="torch"

.venv-%/.tested: pyproject.toml
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check "$(FIRST)" -e '.[dev]'
	$(ONE) $(@D)/bin/python -m pytest -n logical --maxprocesses 8 --dist worksteal -m "$(QUICK)"

lock: ## renew constraints.txt: the newest versions in a fresh environment, frozen
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	{ echo "# Versions that development and CI use; pyproject.toml stays open. Made by make lock on Python \
	$$(.venv-lock/bin/python -c 'import platform; print(".".join(platform.python_version_tuple()[:2]))')."; \
	  .venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu//'; } > constraints.txt
	rm -rf .venv-lock

clean: ## remove environments, reports, the site, and what they leave
	rm -rf $(VENV) .venv-lowest .venv-newest .venv-lock report site jupyter_execute docs/index.md docs/claims.md docs/notebooks docs/gallery.md docs/gallery_pages
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf .pytest_cache .ruff_cache .hypothesis build dist

$(VENV)/.venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

# torch first: the constraints pin a release, and what depends on torch then finds it there
$(VENV)/.run: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	touch $@
