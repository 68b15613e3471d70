# Everything runs from .venv; the two commands a newcomer needs are `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# Most of the tests' time is waiting for processes of their own, so three at a time keep two cores busy. In order, a few at
# a time, because the long ones come first.
PYTEST := $(BIN)/python -m pytest -n 3 --dist load --maxschedchunk 2

.PHONY: demo test lint unit integration acceptance soak fuzz machine bench bench-full lock clean

demo: .venv/.run        ## a whole campaign against the bundled Twilio simulator
	@$(BIN)/outreach demo

test: .venv/.dev lint   ## every check and test
	$(PYTEST)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit integration acceptance: .venv/.dev
	$(PYTEST) tests/$@

SEED ?= 1
KILLS ?= 1000
ROWS ?= 20000
EXAMPLES ?= 1000

soak: .venv/.dev        ## kill everything again and again while a campaign runs; about half an hour
	$(BIN)/python tests/acceptance/soak.py --seed $(SEED) --kills $(KILLS) --rows $(ROWS)

SECONDS ?= 60

fuzz: .venv-fuzz/.done  ## every reader with 1,000 inputs of Hypothesis, then for SECONDS guided by coverage (Linux on x86-64)
	.venv-fuzz/bin/python -m pytest -q --hypothesis-profile=fuzz tests/fuzz
	.venv-fuzz/bin/python tests/fuzz/atheris_run.py --seconds $(SECONDS)

machine: .venv/.dev     ## let anything happen to the ledger in any order, EXAMPLES times over, each time in other ways
	MACHINE_EXAMPLES=$(EXAMPLES) $(PYTEST) tests/integration/ledger/test_machine.py

bench: .venv-bench/.done  ## what it costs and how fast it is, into ops/bench/RESULTS.md; under ten minutes
	.venv-bench/bin/python -m ops.bench

bench-full: .venv-bench/.done  ## the same at full size, a million rows among them; about 40 minutes
	.venv-bench/bin/python -m ops.bench --full

lock: .venv/.dev        ## pin again, with hashes; needs `uv`
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build pyproject.toml -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build --extra dev --extra fuzz -c requirements-dev.txt pyproject.toml -o requirements-fuzz.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build --extra bench -c requirements-dev.txt pyproject.toml -o requirements-bench.txt

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "outreach needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.run: requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

.venv-fuzz/.done: requirements-fuzz.txt .venv/bin/python
	$(BIN)/python -m venv .venv-fuzz
	.venv-fuzz/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	@touch $@

.venv-bench/.done: requirements-bench.txt pyproject.toml .venv/bin/python
	$(BIN)/python -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bench.txt
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

clean:
	rm -rf .venv .venv-fuzz .venv-bench .mypy_cache .ruff_cache .pytest_cache *.egg-info
