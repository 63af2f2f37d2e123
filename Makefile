# `make help` lists the targets. Every target that needs the environment sets it up first, once.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3.11
READY := $(VENV)/.ready

.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## the virtual environment with locked dependencies (done by the others when needed)

$(READY): constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(READY) ## the main job on the embedded model and sample, in runs/demo
	$(BIN)/rewardsmith demo --out runs/demo

demo-small: $(READY) ## the same in small: two layers, one epoch
	$(BIN)/rewardsmith demo --small --out runs/demo-small --overwrite

test: $(READY) ## the default test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(READY) ## the long tests too
	$(BIN)/python -m pytest -m ''

lint: $(READY) ## style, types, and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## writes the generated pages of docs/reference
	$(BIN)/python docs/generate.py

bench: $(READY) ## speed beside the peers' packages, docs/results/speed.md; FIGURE=name measures one
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks $(if $(FIGURE),--figure $(FIGURE))

results: $(READY) ## experiments on real data (hours, resumable), docs/results; GENERAL=model PORTABLE=model
	$(BIN)/python -m experiments.budget --general $(GENERAL) $(if $(PORTABLE),--portable $(PORTABLE))
	$(BIN)/python -m experiments.calibration
	$(BIN)/python -m experiments.collection
	$(BIN)/python -m experiments.overoptimisation --general $(GENERAL)

clean: ## removes the environment, caches and runs
	rm -rf $(VENV) runs build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.PHONY: help setup demo demo-small test test-all lint docs bench results clean
