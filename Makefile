# Two commands to start with: `make demo` and `make test`. Python 3.10 to 3.14 is all they need.
.PHONY: help demo test test-all test-rest test-slow test-pythons bench licences test-faults test-formats test-slurm-new rehearsal test-container lint setup lock site clean
VENV := .venv
BIN := $(VENV)/bin
# JOBS=1 runs one test after the other
PYTEST = $(BIN)/python -m pytest -q -n $(or $(JOBS),auto) --maxprocesses 8 --dist worksteal

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/ready ## set up, write the demo dataset, run the main job on it
	@$(BIN)/kpsbatch demo demo --run

test: $(VENV)/ready-dev ## set up and run the tests that take minutes: does it work here, and still?
	@$(BIN)/kpsbatch models >/dev/null
	@$(PYTEST) -m "not slow"

test-all: test test-rest ## all tests but the rehearsal, under half an hour on two cores

test-rest: test-slow test-pythons test-formats test-container # what `make test` leaves out

test-slow: $(VENV)/ready-dev ## the tests that `make test` leaves out: many disturbances, SLURM, every video and browser
	@$(BIN)/kpsbatch models >/dev/null
	@ROUNDS=$(or $(ROUNDS),24) $(PYTEST) -m slow

test-pythons: ## the fast tests on the oldest and the newest Python of this machine
	@scripts/test-pythons.sh

test-faults: $(VENV)/ready-dev ## kill and disturb the real program again and again (ROUNDS=300 for all of it)
	@ROUNDS=$(or $(ROUNDS),24) $(PYTEST) tests/faults

test-slurm-new: $(VENV)/ready-dev ## the SLURM tests on Debian unstable's SLURM, beside this machine's (root)
	@tests/slurm/newer.sh $(or $(SLURM_NEW),$(HOME)/.cache/kpsbatch-slurm-new) $(BIN)/python -m pytest tests/slurm/test_cluster.py

rehearsal: $(VENV)/ready-dev ## KArSL's shape through a real SLURM that loses nodes, pre-empts, cancels (MINUTES=30)
	@$(BIN)/python tests/slurm/rehearsal/rehearse.py --minutes $(or $(MINUTES),30) --seed $(or $(SEED),18)

test-formats: ## test exports with pose-format, pyarrow, webdataset and torch, in an environment of their own
	@scripts/test-formats.sh

test-container: $(VENV)/ready-dev ## build the image and test it, with an engine of its own (root on Debian 12)
	@tests/container/run.sh

bench: $(VENV)/ready ## time it against the plain way and the legacy Holistic, on the demo dataset
	@PYTHONPATH=. $(BIN)/python benchmarks/throughput.py
	@PYTHONPATH=. $(BIN)/python benchmarks/scaling.py
	@PYTHONPATH=. $(BIN)/python benchmarks/machinery.py
	@PYTHONPATH=. $(BIN)/python benchmarks/machinery.py --resume
	@PYTHONPATH=. $(BIN)/python benchmarks/machinery.py --memory

lint: $(VENV)/ready-dev ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

setup: $(VENV)/ready ## make .venv from requirements.lock, and get the models

licences: ## list what an installation brings, with licences (docs/licences.md)
	@scripts/licences.sh

lock: ## renew the lock files (needs uv)
	@scripts/lock.sh

site: ## build the site of docs/ into site/; a broken link is an error
	@scripts/site.sh

clean: ## remove the venv and the demo
	rm -rf $(VENV) .venv.3.* .venv.docs site demo

$(VENV)/ready: requirements.lock scripts/setup.sh
	@scripts/setup.sh $(VENV) requirements.lock
	@touch $@

$(VENV)/ready-dev: requirements-dev.lock $(VENV)/ready
	@scripts/setup.sh $(VENV) requirements-dev.lock
	@touch $@
