PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Hundreds of processes are started: none need compile again what another one has.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install check test demo demo-check emojiland bench bench-jobs chaos protos format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[inference,attribution,ui,local,dev]'
	touch $@

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m steerboard.api.generate --check

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# More processes than two cores: half of the tests wait for services that they start, or for pip.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4

demo: install
	$(BIN)/steerboard demo

demo-check: install
	$(BIN)/steerboard demo --check

emojiland: install
	$(BIN)/python -m demo.emojiland.build
	$(BIN)/steerboard catalogue build --slim

bench: install
	$(BIN)/steerboard bench serving --install-peers --out build/bench

# A job over 10,000 pictures while its parts are killed; how the worker pool scales.
chaos: install
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.jobs_chaos

bench-jobs: install
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.jobs

protos: install
	$(BIN)/python -m steerboard.api.generate

clean:
	rm -rf build dist .steerboard .mypy_cache .ruff_cache .pytest_cache
