# Everything that a fresh machine with Python 3.11 needs: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# a process for every core and a thread for each: threads of small tensors only wait for each other
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal
QUICK := not slow and not bench
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint types slow bench notebooks docs clean

demo: $(VENV)/.run
	$(BIN)/interp demo --out report

# the shapes in the signatures are checked at every call where tests can bear it; which can, tests/conftest.py says
test: $(VENV)/.dev lint types
	$(PYTEST) -m "shaped and $(QUICK)" tests --jaxtyping-packages=probes,circuits,beartype.beartype
	$(PYTEST) -m "not shaped and $(QUICK)"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

# twenty kills, dead workers, whole trainings over Dask
slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.dev
	$(BIN)/python -m pytest -m bench -s

# every notebook at laptop size, outputs stored in it; NOTEBOOKS="sparse_parity" for some
notebooks: $(VENV)/.dev
	$(BIN)/python examples/execute.py $(NOTEBOOKS)
	$(BIN)/python examples/claims.py

# site/index.html: guides, notebooks, which claims hold, and the API reference
docs: $(VENV)/.dev
	$(BIN)/sphinx-build -q -W -b html docs site
	$(BIN)/python docs/reference.py site/api

clean:
	rm -rf $(VENV) report site jupyter_execute docs/index.md docs/claims.md docs/notebooks

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
