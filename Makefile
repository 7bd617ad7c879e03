# Every target sets up its own environment: Python >= 3.11 and make are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MINUTES ?= 30
DRILL_MINUTES ?= 10
SEEDS ?= 20000
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo drill simulation matrix sabotage test test-long lint types imports bench bench-all bench-growth bench-video fuzz schemas lock files clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "postcommit needs Python 3.11 or newer: make PYTHON=python3.11" >&2; exit 1)
	@echo "Setting up $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## the whole story on embedded servers; ends by itself
	@$(BIN)/postcommit demo

drill: $(READY) simulation ## the promise under load and faults, for DRILL_MINUTES=10 and SEED=1; before it, the simulation
	@$(BIN)/postcommit drill --minutes $(DRILL_MINUTES) --seed $(or $(SEED),1)

simulation: $(READY) ## the roles in virtual time, for SEEDS=20000 lives; others with SEED=2
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $$((($(or $(SEED),1) - 1) * $(SEEDS)))

matrix: $(READY) ## a crash at every named point, with every kind of work
	@$(BIN)/python -m infra.drill.matrix

sabotage: $(READY) ## is the checker awake? known mistakes, each of which must turn it red
	@$(BIN)/python -m tests.sabotage

test: $(READY) lint types imports ## everything that is checked before a change lands
	@$(BIN)/pytest -m "not long" -n 3

test-long: $(READY) ## the full forms of the long tests too
	@$(BIN)/pytest

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

imports: $(READY)
	@$(BIN)/lint-imports

QUICKLY := --rounds 1 --parts accept,drain,idle
bench: $(READY) .bench/peers/.ready .bench/arq/.ready ## postcommit beside other task queues; QUICK=1 for a few minutes
	@mkdir -p build
	@$(BIN)/python -m tests.bench $(if $(QUICK),$(QUICKLY)) --json build/bench.json
	@$(BIN)/python -m tests.bench.picture build/bench.json > build/bench.svg

bench-all: $(READY) .bench/peers/.ready .bench/arq/.ready ## every contender, tuned and as it comes: hours
	@mkdir -p build
	@$(BIN)/python -m tests.bench --all --json build/bench-all.json
	@$(BIN)/python -m tests.bench.picture build/bench-all.json > build/bench-all.svg

bench-video: $(READY) ## heavy work beside plain ffmpeg, and requests beside heavy work
	@mkdir -p build
	@$(BIN)/python -m tests.bench.heavy --json build/bench-video.json

bench-growth: $(READY) ## with a long log, more processes, and for 20 minutes; needs 40 GB of free disk
	@mkdir -p build
	@$(BIN)/python -m tests.bench.growth --json build/bench-growth.json

.bench/%/.ready: tests/bench/%.lock
	@echo "Setting up .bench/$* …"
	@$(PYTHON) -m venv .bench/$*
	@.bench/$*/bin/pip install --quiet --require-hashes -r $<
	@touch $@

schemas: $(READY) ## publish the JSON Schemas of new events
	@$(BIN)/python -m infra.schemas

LOCKING := --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11
lock: ## renew the lock files from pyproject.toml (needs uv)
	@uv pip compile $(LOCKING) --extra dev pyproject.toml -o requirements.lock
	@for name in peers arq; do uv pip compile $(LOCKING) tests/bench/$$name.in -o tests/bench/$$name.lock; done
	@uv pip compile $(LOCKING) --extra image --constraints requirements.lock pyproject.toml -o infra/deploy/requirements.lock

files: $(READY) ## write infra/deploy/nats.conf and postgres.sql anew
	@$(BIN)/python -m infra.deploy.files

fuzz: $(READY) ## the API against its own description, for MINUTES=30
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

clean: ## forget the environment
	rm -rf $(VENV) .bench build *.egg-info
