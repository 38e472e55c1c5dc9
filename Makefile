# The two commands a newcomer needs are `make demo` and `make test`; each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PARALLEL := --numprocesses auto --dist loadfile
# The fast tests keep their files in memory where there is room: what they wait for is mostly a disk that syncs.
IN_MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 2000000 { print "TMPDIR=/dev/shm" }')
LOCKED := --only-binary :all: --require-hashes
JAVASCRIPT := tests/clients/javascript
AXE := tests/console/javascript
ASSETS := assets/console
VENDORED := src/partnerbus/console/static/vendor

.PHONY: help install demo javascript browser vendor test test-fast soak check format lock clean

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

install: $(RUN)  ## create .venv with what it takes to run partnerbus

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("partnerbus needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) $(LOCKED) -r requirements.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	$(PIP) $(LOCKED) -r requirements-dev.lock
	@touch $@

demo: $(RUN)  ## play the main job once, on this machine, and show each step
	$(BIN)/python examples/demo.py

javascript: $(JAVASCRIPT)/node_modules/.package-lock.json  ## install the JavaScript SDK for its tests (needs npm)

$(JAVASCRIPT)/node_modules/.package-lock.json: $(JAVASCRIPT)/package-lock.json
	cd $(JAVASCRIPT) && npm ci --loglevel=error

browser: $(AXE)/node_modules/.package-lock.json  ## install what the console's tests need: axe-core (npm), and Chromium where apt-get is
	@command -v chromium chromium-browser google-chrome > /dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends chromium; }

$(AXE)/node_modules/.package-lock.json: $(AXE)/package-lock.json
	cd $(AXE) && npm ci --loglevel=error

vendor:  ## copy htmx and its extension into the package anew (needs npm)
	cd $(ASSETS) && npm ci --loglevel=error
	cp $(ASSETS)/node_modules/htmx.org/dist/htmx.min.js $(VENDORED)/htmx.min.js
	cp $(ASSETS)/node_modules/htmx.org/LICENSE $(VENDORED)/htmx.LICENSE
	cp $(ASSETS)/node_modules/htmx-ext-sse/sse.js $(VENDORED)/htmx-ext-sse.js
	cp $(ASSETS)/node_modules/htmx-ext-sse/LICENSE $(VENDORED)/htmx-ext-sse.LICENSE

# What the tests start over and over is compiled once, also where the environment says to keep no bytecode.
test test-fast soak: export PYTHONDONTWRITEBYTECODE :=

# Without npm, its registry or a browser, the tests that need them are skipped; where CI is set they fail.
# Files run in the order of their names, since those with few tests have the longest, and would come last.
test: $(DEV)  ## every test
	-@$(MAKE) --no-print-directory javascript
	-@$(MAKE) --no-print-directory browser
	$(BIN)/python -m pytest $(PARALLEL) --no-loadscope-reorder -m "not fault and not soak"
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "fault and not cluster and not soak"
	$(BIN)/python -m pytest -m "fault and cluster and not soak"

test-fast: $(DEV)  ## the tests that kill nothing and take no time, with fewer random examples; a minute and a half
	$(IN_MEMORY) $(BIN)/python -m pytest $(PARALLEL) --hypothesis-profile fast -o tmp_path_retention_policy=failed -m "not slow and not fault and not soak"

soak: $(DEV)  ## the long forms of tests: 200 kills, minutes of standing still, thousands of examples; more than half an hour
	$(BIN)/python -m pytest -m soak

check: $(DEV)  ## lint, format, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml

lock:  ## write both lock files anew (needs uv)
	$(COMPILE) --extra dev -o requirements-dev.lock
	$(COMPILE) --extra checkout --constraint requirements-dev.lock -o requirements.lock

clean:  ## remove the environment and the caches
	rm -rf $(VENV) $(JAVASCRIPT)/node_modules $(AXE)/node_modules $(ASSETS)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
