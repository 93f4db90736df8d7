# make demo: two commands from a clone to stems. Every target sets up .venv by itself, once.
#   PYTHON=python3.12 make demo     another interpreter (3.11 to 3.13)
#   WORKERS=8 make test             more test processes; each keeps TensorFlow to one thread

VENV    ?= .venv
PYTORCH ?= $(or $(PEERS),.venv-pytorch)
PYTHON  ?=
WORKERS ?= 2

RUN     := $(VENV)/bin/python
STAMP   := $(VENV)/.installed
PYTEST  := $(RUN) -m pytest -q -n $(WORKERS) --dist loadfile

.PHONY: demo test test-bare test-all coverage fuzz licences lint types smoke benchmark pytorch peers clean $(VENV)

demo: $(STAMP)
	@$(RUN) -m tfsep.cli.demo

# The ten slowest tests are named at the end.
test: lint types
	$(PYTEST) -m "not slow" --durations=10

# The tests that touch programs which tfsep can do without, as on a machine that has none of them.
test-bare: $(STAMP)
	TFSEP_HIDE_PROGRAMS=1 $(RUN) -m pytest -q -m "programs and not slow" \
	    $$(grep -rl --include='test_*.py' '^pytestmark = pytest.mark.programs$$' tests)

test-all: lint types
	$(PYTEST)

# How much of tfsep the tests run, commands that they start included; what TensorFlow compiles is not seen.
coverage: $(STAMP)
	$(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered

# Wrong and hostile input of every kind, and processes that are killed; a summary with cases and faults. An hour or so.
fuzz: $(STAMP)
	$(RUN) -m benchmarks.fuzz

# The licence of everything that tfsep is installed with.
licences: $(STAMP)
	@$(RUN) -m benchmarks.licences

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check --quiet .

types: $(STAMP)
	$(RUN) -m mypy

smoke: $(STAMP)
	$(RUN) -m pytest -q -m smoke

benchmark: $(STAMP)
	$(RUN) -m benchmarks.quality

# What benchmarks.speed compares with, in an environment of its own: PyTorch and TensorFlow should not share one.
pytorch: $(PYTORCH)/.installed

# An alias, which older pages name.
peers: pytorch

$(PYTORCH)/.installed: benchmarks/speed/pytorch/requirements.txt | $(STAMP)
	@if ! $(PYTORCH)/bin/python -c 'import pip' 2>/dev/null; then $(RUN) -m venv --clear $(PYTORCH); fi
	$(PYTORCH)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/speed/pytorch/requirements.txt
	@touch $@

$(VENV): $(STAMP)

# The stamp says that .venv holds what setup.cfg and constraints.txt ask for.
$(STAMP): setup.cfg setup.py constraints.txt
	@set -e; python=; for name in $(if $(PYTHON),"$(PYTHON)",python3 python3.11 python3.12 python3.13); do \
	    if "$$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
	    then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "error: tfsep needs Python 3.11, 3.12 or 3.13 with its venv module (Debian: python3-venv), and" \
	         "$(if $(PYTHON),$(PYTHON) is not one,found none on PATH); name one: make PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	fi; \
	if ! $(RUN) -c 'import pip' 2>/dev/null; then \
	    echo "making $(VENV) and installing TensorFlow and the rest (about 2 GB, a minute or two)" >&2; \
	    "$$python" -m venv --clear $(VENV); \
	fi; \
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) $(PYTORCH) .venv-peers build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .coverage* separated exported
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
