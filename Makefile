# make demo   install the pinned set and compare five schemes on a small LLaMA
# make test   run the test suite (everything that is not marked slow) and the examples in docstrings
# make lint   ruff and mypy
# make docs   build the documentation into build/site, without a warning, and check its links
#
# TORCH_INDEX can name a package index with CPU builds of torch, for example
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# WORKERS is the number of processes that run tests, each with one thread for its linear algebra.
# PYTHON names the interpreter the environment is made from (3.11 to 3.13).

PYTHON ?= python3
TORCH_INDEX ?=
VENV ?= .venv
WORKERS ?= 2
DEMO_OUT ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TORCH := "torch==2.13.0" $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test lint docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/airtune compare quickstart --out $(DEMO_OUT)

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python scripts/compile_kernels.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python scripts/check_site.py build/site

$(BIN)/python:
	$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); \
	  sys.exit(0 if ok else f"Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}")'
	$(PYTHON) -m venv $(VENV)

# torch first and by itself: its CPU build must be found before the others ask for any torch.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) $(TORCH)
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e ".[dev]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) -e ".[docs]"
	touch $@

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
