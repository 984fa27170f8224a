# Two commands do everything on a fresh machine: `make demo` and `make test`. Only make and Python >= 3.11 are needed.
PYTHON ?= python3
WORKERS ?= 2
UV_VERSION := 0.13.9
# uv comes along in a folder of its own when the machine has none; it never downloads a Python.
UV := $(shell command -v uv 2>/dev/null || echo .venv-uv/bin/uv)
export UV
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
# What Python compiled is kept, whatever the surroundings say: many processes begin here, and each would compile it all again.
export PYTHONDONTWRITEBYTECODE :=
RUN := .venv/bin
SYNC := $(UV) sync --locked --quiet --python $(PYTHON)

.DEFAULT_GOAL := help
.PHONY: help setup demo check test coverage interop soak bench docs fix sbom audit chromium

help:
	@echo "make demo    the main job, before your eyes: http://localhost:8080"
	@echo "make test    set everything up and run the tests"
	@echo "make check   format, lint, types, import contracts, lengths"
	@echo "also: setup fix coverage interop soak bench docs sbom audit"

.venv-uv/bin/uv:
	@$(PYTHON) -m venv .venv-uv
	@.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

setup: $(filter .venv-uv/bin/uv,$(UV))
	@$(SYNC) --all-extras
	@$(RUN)/python tools/azurite.py

demo: $(filter .venv-uv/bin/uv,$(UV))
	@$(SYNC) --no-dev --inexact
	@$(RUN)/keyturn demo $(ARGS)

check: setup
	@$(RUN)/ruff format --check --quiet . && $(RUN)/ruff check --quiet .
	@$(RUN)/pyrefly check --output-format=min-text --summary=none
	@$(RUN)/lint-imports --no-cache >/dev/null || $(RUN)/lint-imports --no-cache
	@$(RUN)/python tools/lengths.py src tests benchmarks

# Debian's Chromium, when it may be installed; else an installed one is found, or the browser tests say so and skip.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
	 { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	   { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium; } >/dev/null 2>&1; } || true

test: setup chromium
	@$(RUN)/pytest -n $(WORKERS) --dist worksteal -m "not slow_interop"

# Every branch of the OAuth client, by its own tests alone.
coverage: setup
	@$(RUN)/coverage run --branch --source=src/keyturn/oauth --data-file=.coverage.oauth -m pytest -q -n 0 tests/oauth
	@$(RUN)/coverage report --data-file=.coverage.oauth --skip-covered --show-missing --fail-under=100
	@rm -f .coverage.oauth

interop: setup
	@$(RUN)/pytest -n 2 --dist loadfile -m slow_interop

soak: setup
	@HYPOTHESIS_PROFILE=soak $(RUN)/pytest -n 2 tests/oauth tests/rest tests/columns tests/web/test_any_callback.py \
	 tests/contracts/test_any_request.py --timeout 3600
	@HYPOTHESIS_PROFILE=soak $(RUN)/pytest -n 0 -s tests/journeys/test_crashes.py tests/journeys/test_key_storms.py --timeout 3600
	@HYPOTHESIS_PROFILE=soak $(RUN)/pytest -n 0 -s tests/simulation/test_supervisor.py --timeout 3600

# What a running Keyturn consists of, as CycloneDX.
sbom: setup
	@$(RUN)/python tools/sbom.py dist/keyturn.cdx.json

# Known vulnerabilities of everything that is locked. KEYTURN_REQUIRE_AUDIT=1: not being able to ask fails too.
audit: setup
	@$(RUN)/python tools/audit.py

bench: setup
	@$(RUN)/python benchmarks/refreshing/compare.py
	@$(RUN)/python benchmarks/reading/compare.py $(ARGS)
	@$(RUN)/python benchmarks/reading/first_row.py
	@$(RUN)/python benchmarks/reading/durability.py
	@$(RUN)/python benchmarks/reading/many_at_once.py

docs:
	@echo "The docs are plain Markdown: start at docs/quickstart.md"

fix: setup
	@$(RUN)/ruff format . && $(RUN)/ruff check --fix .
