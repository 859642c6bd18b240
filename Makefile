# Everything that a fresh machine with Python 3.11 needs: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# a process for every core and a thread for each: threads of small tensors only wait for each other
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# tests of whole analyses, whose shapes their parts' tests have checked already
WHOLE := progress_analysis phases_analysis theory_analysis embeddings densities_clouds

.PHONY: demo test lint types shapes slow bench clean

demo: $(VENV)/.run
	$(BIN)/interp demo --out report

test: $(VENV)/.dev lint types shapes
	$(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

# the shapes in the signatures, checked at every call; tests of bad shapes would be stopped before our own message, and
# hypothesis does not like the random sampling of beartype inside its strategies
shapes: $(VENV)/.dev
	$(PYTEST) tests/probes tests/circuits -k "not refus and not laws and not bad_input" \
		--jaxtyping-packages=probes,circuits,beartype.beartype $(WHOLE:%=--ignore=tests/probes/test_%.py)

# twenty kills, dead workers, whole trainings over Dask
slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.dev
	$(BIN)/python -m pytest -m bench -s

clean:
	rm -rf $(VENV) report

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
