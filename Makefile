# The one interface, for people and for CI. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HELIOGRAPH := $(BIN)/heliograph
SERVE_READY := $(VENV)/.serve-ready
DEV_READY := $(VENV)/.dev-ready

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Heliograph needs Python 3.11 or newer; $(PYTHON) is older. Name another one: make PYTHON=python3.12 serve"; exit 1; }
	@echo "==> a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing (Debian and Ubuntu: apt-get install python3-venv)."; exit 1; }

$(SERVE_READY): requirements/serve.txt pyproject.toml | $(BIN)/python
	@echo "==> packages (about 210 MB the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -q --require-hashes -r requirements/serve.txt
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@echo "==> models"
	@$(HELIOGRAPH) models pull --default
	@touch $@

$(DEV_READY): requirements/dev.txt $(SERVE_READY)
	@echo "==> test and check tools"
	@$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: setup
setup: $(DEV_READY)  ## install everything that serve, test and check need

.PHONY: serve
serve: $(SERVE_READY)  ## run the service on this machine
	@exec $(HELIOGRAPH) serve

.PHONY: requirements
requirements: $(DEV_READY)  ## compile the pinned requirement files again
	$(BIN)/python scripts/requirements.py
