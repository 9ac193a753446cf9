# Two commands from a fresh clone: `make nightly` and `make test`. The others: `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

BIN := .venv/bin
PY := $(BIN)/python

# More arguments for pytest: make test PYTEST_ARGS="-k roc_auc"
PYTEST_ARGS ?=
# Each process has a Spark of its own, and takes whole files of tests.
PYTEST_PROCESSES ?= 2

# Everything runs in .venv: another Spark or another Python of the machine must not get in.
unexport SPARK_HOME PYTHONPATH PYTHONHOME
# Many images set it. Each process would compile all packages again: half of what a start takes.
unexport PYTHONDONTWRITEBYTECODE
export PYSPARK_PYTHON := $(CURDIR)/$(PY)
export PYSPARK_DRIVER_PYTHON := $(CURDIR)/$(PY)
export VIRTUAL_ENV := $(CURDIR)/.venv
export UV_HTTP_TIMEOUT ?= 300

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: nightly
nightly: setup warm-or-local ## the main job: data, models, the whole matrix, results, report
	@$(PY) jobs/nightly.py conf/nightly.yml --prepare conf/prepare.yml

.PHONY: test
test: java setup browser warm ## all tests: unit, Spark, frameworks
	@$(PY) -m pytest -m "not soak" -n $(PYTEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

.PHONY: costs
costs: ## all tests, and the CPU seconds, seconds and processes of each file of them: build/costs.txt
	@mkdir -p build && rm -f build/costs.txt
	@EVALMATRIX_TEST_COSTS=build/costs.txt $(MAKE) --no-print-directory test || true
	@sort -rn -o build/costs.txt build/costs.txt && head -40 build/costs.txt

.PHONY: soak
soak: java setup warm ## the long tests: runs killed at thirty moments, properties searched (hours)
	@$(PY) -m pytest -m soak $(PYTEST_ARGS)
	@HYPOTHESIS_PROFILE=search $(PY) -m pytest -m "not spark and not frameworks and not slow and not soak" $(PYTEST_ARGS)

.PHONY: unit
unit: setup ## the tests that take seconds: no Spark, no TensorFlow, no PyTorch
	@$(PY) -m pytest -m "not spark and not frameworks and not slow and not soak" $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## ruff (rules and format), mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: setup ## ruff: sort imports, lay the code out
	@$(BIN)/ruff check --select I --fix --quiet .
	@$(BIN)/ruff format .

.PHONY: bench
bench: java setup ## rows x models x slices x tests, against plain scikit-learn
	@$(PY) benchmarks/run.py

.PHONY: simulations
simulations: setup ## coverage, keys, false alarms and fairness, simulated: their tables in docs (15 min)
	@$(PY) benchmarks/coverage.py
	@$(PY) benchmarks/key_noise.py
	@$(PY) benchmarks/false_alarms.py
	@$(PY) benchmarks/fairness_noise.py

.PHONY: rates
rates: setup ## planted defects and sound models for each kind of test: the tables of rates in docs
	@$(PY) benchmarks/rates.py --write
	@$(PY) benchmarks/rates.py --speed --write

.PHONY: closeness
closeness: setup ## made rows beside their sources: the tables of docs/generation.md (minutes)
	@$(PY) benchmarks/closeness.py --write

.PHONY: docs
docs: setup ## check the documents: links, anchors, the suites they show
	@$(PY) docs/check.py

.PHONY: export-validators
export-validators: setup ## what `evalmatrix export` writes, by validators in environments of their own
	@$(PY) infrastructure/validate.py

.PHONY: wheel
wheel: setup ## build dist/evalmatrix-*.whl
	@rm -rf build/lib build/bdist.* dist
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --out-dir dist .
	@ls dist/*.whl

.PHONY: pack
pack: setup ## the workers' environment for a cluster: dist/environment.tar.gz (FLAVORS=sklearn,torch)
	@$(PY) infrastructure/pack.py --flavors $(or $(FLAVORS),sklearn) --out dist/environment.tar.gz

.PHONY: requirements
requirements: setup ## pin requirements.txt anew from requirements.in (UPGRADE=1: to the newest)
	@UV_CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/uv pip compile requirements.in \
		--output-file requirements.txt --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --quiet $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## remove what runs, tests and builds have made (the store too); .venv stays
	@rm -rf store spark-warehouse metastore_db derby.log mlruns logs build dist *.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

.PHONY: setup
setup: .venv/.project ## .venv with the pinned packages and the command evalmatrix

# What Spark loads at each start, kept for later starts; a run without it is slower, and no worse.
.PHONY: warm
warm: java .venv/.warm

.venv/.warm: .venv/.packages | .venv/.project
	@$(BIN)/evalmatrix warmup >/dev/null || true
	@touch $@

# Without Java there is nothing to keep, and the job says that it runs without Spark.
.PHONY: warm-or-local
warm-or-local: .venv/.project
	@if infrastructure/prerequisites java 2>/dev/null; then $(MAKE) --no-print-directory warm; fi

.PHONY: java
java:
	@infrastructure/prerequisites java

.PHONY: browser
browser:
	@infrastructure/prerequisites browser

# uv installs the packages several times faster than pip; pip is what every Python has, and knows
# a mirror that is set in pip's own configuration, so it is tried where uv does not get through.
.venv/.packages: requirements.txt
	@if ! $(PY) -c "import pip" 2>/dev/null; then \
		python="$$(infrastructure/prerequisites python)" || exit 1; \
		echo "Making .venv with $$("$$python" --version)" >&2; \
		"$$python" -m venv --clear .venv || exit 1; \
	fi
	@echo "Installing the packages of requirements.txt (some minutes the first time)" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"
	@$(BIN)/uv pip install --quiet --python $(PY) -r requirements.txt \
		|| { echo "uv did not get through; trying pip" >&2; \
		     $(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt; }
	@touch $@

# Without isolation: setuptools is among the packages, and no network is needed.
.venv/.project: .venv/.packages setup.py pyproject.toml engine/_version.py
	@$(BIN)/uv pip install --quiet --offline --python $(PY) --no-deps --no-build-isolation \
		--reinstall-package evalmatrix --editable .
	@touch $@
