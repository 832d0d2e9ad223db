# make demo | make test | make test-gpu | make test-harnesses | make check | make format | make docs | make bench | make setup
# make coverage | make bench-quick | make release-check
# PYTHON says which Python (>= 3.11) makes the environment, VENV where it lies.
PYTHON ?= python3
VENV ?= .venv
RECIPE ?= recipes/demo.yaml
BIN := $(VENV)/bin
READY := $(VENV)/.ready

DOCS_READY := $(VENV)/.docs-ready
RELEASE ?= .venv-release

HARNESSES ?= .venv-harnesses
HARNESSES_READY := $(HARNESSES)/.ready

.PHONY: setup demo test coverage test-gpu test-harnesses lint check format docs bench bench-quick release-check constraints
.NOTPARALLEL:

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python >= 3.11 is needed; say which one: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/shotsmith run $(RECIPE)

# Two processes with one thread each: more threads only fight over two cores.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# The tests with the share of lines they run. Not part of `make test`: on tests/metrics, tests/rewards and
# tests/test_statistics.py it took 6 % and 12 % more processor time in two pairs of runs, so not surely less than 10 %.
coverage: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov=shotsmith --cov-report=term:skip-covered

# On a machine with a GPU; elsewhere they are skipped.
test-gpu: setup
	SHOTSMITH_TEST_GPU=1 $(BIN)/python -m pytest tests/vlms/test_on_a_gpu.py

# lm-eval, lmms-eval and DSPy are heavy, and DSPy needs an older python-dateutil: they have an environment of their own.
# Of lmms-eval's dependencies only those are installed that asking a server takes.
$(HARNESSES_READY): pyproject.toml constraints.txt
	test -x $(HARNESSES)/bin/python || $(PYTHON) -m venv $(HARNESSES)
	grep -v '^python-dateutil==' constraints.txt > $(HARNESSES)/constraints.txt
	$(HARNESSES)/bin/python -m pip install --quiet -c $(HARNESSES)/constraints.txt torch
	$(HARNESSES)/bin/python -m pip install --quiet -c $(HARNESSES)/constraints.txt -e '.[dev,dspy]' \
		lm-eval==0.4.13 accelerate loguru httpx pytz python-dotenv openai
	$(HARNESSES)/bin/python -m pip install --quiet --no-deps lmms-eval==0.7.3
	@touch $@

test-harnesses: $(HARNESSES_READY)
	OMP_NUM_THREADS=1 $(HARNESSES)/bin/python -m pytest tests/integrations tests/test_docs.py -k "integrations"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src

check: lint test

format: setup
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# The site, into site/. Its tools are added to the environment when they are first needed; a warning is an error.
$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(DOCS_READY)
	PYTHONPATH=tools NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Every figure of README and docs: hours. It goes on where it was stopped; figures go into benchmarks/results.
bench: setup
	$(BIN)/python benchmarks/suite.py

# The same benchmarks at small sizes, in minutes: whether they work, not how fast.
bench-quick: setup
	$(BIN)/python benchmarks/suite.py --quick

# The wheel in an environment of its own, away from the repository: its version, its help, and the README's quickstart.
release-check:
	rm -rf dist $(RELEASE)
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet -c constraints.txt build torch
	$(RELEASE)/bin/python -m build --outdir dist
	$(RELEASE)/bin/python -m pip install --quiet -c constraints.txt dist/*.whl
	$(RELEASE)/bin/python -I tools/release_check.py

# Pins what is installed now. torch's local version (+cpu, +cu128) depends on the machine and is left out.
constraints: $(DOCS_READY)
	{ echo "# The exact versions Shotsmith is tested with. Made by 'make constraints'."; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed 's/+.*//'; } > constraints.txt.new
	mv constraints.txt.new constraints.txt
