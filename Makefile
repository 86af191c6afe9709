# One command for all checks: make check. It makes its own virtual environment; PYTHON=python3.12 picks another Python.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: check lint types test format

check: lint types test

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=24"
	$(BIN)/pip install --quiet --no-deps "imagededup>=0.3.3"
	$(BIN)/pip install --quiet --editable ".[test]"
	touch $@

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

test: $(VENV)/ready
	$(BIN)/pytest -n auto

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
