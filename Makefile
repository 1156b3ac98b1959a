# Two commands: `make run` serves the dashboard, `make test` checks everything.
VENV := .venv
PYTHON := $(VENV)/bin/python
SHELL := /bin/bash
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test install install-dev sample lint check-system clean

run: install sample
	@echo "Opening the dashboard on http://localhost:8501 (Ctrl+C stops it)"
	@$(PYTHON) -m streamlit run UserInterface/Home.py --server.address localhost

sample: install
	@$(PYTHON) -m pipeline sample

test: install-dev lint
	$(PYTHON) -m pytest

lint: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt requirements-nodeps.txt
	@$(MAKE) --no-print-directory check-system
	@test -x $(PYTHON) || $$(scripts/find-python) -m venv $(VENV)
	@echo "Installing the packages (a few minutes, once)"
	@$(PYTHON) -m pip install --quiet -r requirements.txt
	@$(PYTHON) -m pip install --quiet --no-deps -r requirements-nodeps.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@$(PYTHON) -m pip install --quiet -r requirements.txt -r requirements-dev.txt
	@touch $@

check-system:
	@scripts/find-python > /dev/null
	@scripts/check-libraries

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
