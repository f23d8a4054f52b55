# Two commands: `make demo` and `make test`. Both install what they need into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types bench lock schemas reference sbom audit clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

install: $(VENV)/.installed ## make .venv with the locked dependencies

demo: install ## archive a simulated account from end to end, on this machine alone
	$(BIN)/archiver demo $(ARGS)

test: install ## run all tests (ARGS='-k name' for some)
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

lint: install ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: install ## mypy, strict
	$(BIN)/mypy

bench: install ## measure CPU, wall, memory and requests beside a plain copying script
	$(BIN)/python -m bench $(ARGS)

schemas: install ## write the JSON Schemas of both configuration files anew
	$(BIN)/python -m archiver.settings config/archiver.schema.json
	$(BIN)/python -c 'from archiver.policies import schema_text; print(schema_text(), end="")' > config/policies.schema.json

reference: install ## write the help of every command into docs/command-help.md
	$(BIN)/python -m archiver.cli.reference docs/command-help.md

lock: install ## lock the dependencies anew, with hashes and without index addresses (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra demo --extra dev pyproject.toml -o requirements-dev.txt
	echo 'hatchling>=1.27' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements-dev.txt -o requirements-build.txt -

sbom: install ## write the software bill of materials into dist/sbom.cdx.json (CycloneDX)
	$(BIN)/python -m tools.sbom dist/sbom.cdx.json

audit: install ## look the locked dependencies up among known vulnerabilities (ARGS=--required: it must be possible)
	$(BIN)/python -m tools.audit $(ARGS)

clean: ## remove .venv and what the demo wrote
	rm -rf $(VENV) var/demo
