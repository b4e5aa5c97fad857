# Everything a newcomer or a continuous-integration machine does starts here. Needs make and Python 3.11 or later.
#   make demo    set up, run the main job, say where the reports are        make test    set up, run every test
#   make check   format, lint, types, import layers                         make docs    build the documentation
#   make bench   speed, memory and accuracy tables                          make lock    resolve the pinned versions anew
# On Linux without a GPU, PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" saves a large download.

PYTHON    ?= python3.11
VENV      ?= .venv
PIP_FLAGS ?=
WORKERS   ?= 2
BIN       := $(VENV)/bin
# Named after the content of what was installed, so that .venv is re-used for as long as that is unchanged.
STAMP     := $(VENV)/.installed-$(shell cat requirements/constraints.txt pyproject.toml | cksum | cut -d' ' -f1)

.PHONY: demo test check check-format check-lint check-types check-layers format docs bench lock install clean

demo: $(STAMP)
	$(BIN)/rightreasons train recipes/nhefs-sparsity.yaml recipes/mnist-smoothness.yaml

# One thread per process: the workers are the parallelism, and sums come out the same on every run.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

# `make -k check` goes on after a failure, to show all of them.
check: check-format check-lint check-types check-layers
check-format: $(STAMP)
	$(BIN)/ruff format --check .
check-lint: $(STAMP)
	$(BIN)/ruff check .
check-types: $(STAMP)
	$(BIN)/pyright --pythonpath $(BIN)/python
check-layers: $(STAMP)
	$(BIN)/lint-imports --no-cache

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c requirements/constraints.txt -e ".[bench]"
	set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

# Versions come from a fresh environment, never from the one that happens to be there.
lock:
	sh requirements/lock.sh $(PYTHON)

install: $(STAMP)

$(STAMP): requirements/constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/.installed-*
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c requirements/constraints.txt -e ".[all,dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist site
