# Stepstream: on a machine with Python 3.11+ `make run` does everything that is needed. `make help` lists the rest.
# Paths are relative to this folder, so a space in the path above it does no harm.

PYTHON ?= python3
ARGS ?=
PY := .venv/bin/python
$(shell test -x $(PY) || rm -f .venv/.ready .venv/.ready-dev .venv/.ready-ai)  # its Python was upgraded away: make it anew

.DEFAULT_GOAL := help
.PHONY: help run test lint setup ai bench bench-peers soak storm screenshots

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  Settings come from the environment, for example: PORT=8001 make run"

run: setup ## set up what is missing, then serve on http://127.0.0.1:8000 (HOST, PORT, DATA_DIR, DATABASE_URL)
	@$(PY) manage.py prepare
	@exec $(PY) manage.py serve

test: .venv/.ready-dev ## the whole test suite; a part of it: make test ARGS="tests/accounts -x"
	@exec $(PY) -m pytest $(ARGS)

lint: .venv/.ready-dev ## ruff, format check, mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

setup: .venv/.ready ## the environment alone: .venv with the pinned requirements
	@:

ai: .venv/.ready-ai ## add what ai steps need to ask real models (the mock needs nothing)
	@:

bench: .venv/.ready-dev ## measure, print a table, write var/bench.json
	@exec $(PY) -m tests.benchmarks.bench $(ARGS)

soak: .venv/.ready-dev ## 20 minutes of mixed work (MINUTES), and whether memory, files or the database grow
	@exec $(PY) -m tests.benchmarks.soak $(ARGS)

bench-peers: .venv/.ready-dev ## the same work by others beside ours, in var/peers; some: ARGS="huey dbos --rounds 2"
	@exec $(PY) -m tests.benchmarks.bench_peers $(ARGS)

storm: .venv/.ready-dev ## kill workers and databases by the thousand and count what is lost; a part: make storm ARGS="sqlite --kills 60"
	@exec $(PY) -m tests.storm $(ARGS)

screenshots: .venv/.ready-dev ## walk the README's five minutes in a browser and take the pictures of the docs
	@mkdir -p docs/images
	@SCREENSHOTS=docs/images $(PY) -m pytest -q tests/journeys/test_readme.py

.venv/.ready: requirements.txt
	@sh -eu -c "$$INSTALL" install "$(PYTHON)" requirements.txt
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.txt
	@sh -eu -c "$$INSTALL" install "$(PYTHON)" requirements-dev.txt
	@touch $@

.venv/.ready-ai: .venv/.ready requirements-ai.txt
	@sh -eu -c "$$INSTALL" install "$(PYTHON)" requirements-ai.txt
	@touch $@

# Installs the requirements file $2 into .venv: by uv where it is present, else by pip, by whichever of two ways works.
define INSTALL
say() { echo "$$*" >&2; }

if ! "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  say "Stepstream needs Python 3.11 or newer, and '$$1' is $$("$$1" -V 2>/dev/null || echo "not there")."
  say "Name another one like this: make run PYTHON=python3.12"
  exit 1
fi

if ! .venv/bin/python -c '' 2>/dev/null; then
  say "Making .venv ..."
  uv venv --quiet --clear --no-project --python "$$1" .venv 2>/dev/null ||
    "$$1" -m venv --clear .venv >/dev/null 2>&1 ||
    "$$1" -m venv --clear --without-pip .venv ||
    { say "Python could not make .venv (see above)."; exit 1; }
fi

say "Installing $$2 ..."
if command -v uv >/dev/null; then
  uv pip install --quiet --python .venv/bin/python --require-hashes -r "$$2" && exit 0
  say "uv could not install it (see above); trying pip."
fi
if .venv/bin/python -m pip --version >/dev/null 2>&1; then
  exec .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$$2"
fi
if "$$1" -m pip --version >/dev/null 2>&1; then
  exec "$$1" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check --require-hashes -r "$$2"
fi
say "Neither uv nor pip is here to install Stepstream's requirements. Any one of these helps:"
say "  Debian, Ubuntu: sudo apt install python3-venv      Fedora: sudo dnf install python3-pip"
say "  or install uv, and have it on your PATH"
exit 1
endef
export INSTALL
