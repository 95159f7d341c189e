# Everything a person types here. `make` alone says what there is.

PYTHON ?= python3
PORT ?= 8000
# For `make demo`: simulated, local (the control plane of `make cluster`) or kubeconfig.
CLUSTER ?= simulated
# For `make test`: how many processes; further arguments for pytest.
JOBS ?= 2
ARGS ?=
# For `make soak`: how long to do harm; SEED repeats the choices of an earlier one.
MINUTES ?= 10

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PYTEST := $(PY) -m pytest
UV = $(or $(shell command -v uv),$(VENV)/bin/uv)
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(if $(UPGRADE),--upgrade) pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster test-postgres html-checker screenshots cluster cluster-down bench bench-web soak lint messages lock clean

help:
	@echo 'make demo           the portal on http://localhost:8000 [PORT=] [CLUSTER=simulated|local|kubeconfig]'
	@echo 'make test           the tests that need nothing but Python [JOBS=2] [ARGS="-k name"]'
	@echo 'make test-cluster   the tests on a real Kubernetes control plane (compiles it once)'
	@echo 'make test-postgres  the database tests on a PostgreSQL server of their own'
	@echo 'make html-checker   fetch the Nu HTML checker for the tests that want it [needs npm and Java]'
	@echo 'make screenshots    renew the pictures in docs/ from the running product [needs Chromium]'
	@echo 'make cluster        start a local control plane, print its kubeconfig'
	@echo 'make cluster-down   stop it'
	@echo 'make bench          measure: making stores, telling of trouble, 1,000 stores [ARGS=--contest|--health|--scale]'
	@echo 'make bench-web      measure the pages: 10,000 stores, live changes, a crowd [ARGS="--pages sqlite"|--live|--crowd]'
	@echo 'make soak           random use and random harm for some minutes [SEED=n] [MINUTES=10] [POSTGRES=1]'
	@echo 'make lint           style, types, import contracts, templates, migrations'
	@echo 'make messages       put new texts into the German catalogue, and compile it'
	@echo 'make lock           renew the requirement files [UPGRADE=1 for newer versions]'
	@echo 'make clean          remove .venv, caches and the data of the demo'

$(INSTALLED): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
		"Storeyard needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] \
		+ ". Name another one: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV): this takes a minute, once."
	@$(PY) -c 'import pip, ssl' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-dev.txt
	@touch $@

demo: $(INSTALLED)
	@exec $(PY) manage.py demo --port '$(PORT)' --cluster '$(CLUSTER)'

test: $(INSTALLED)
	$(PYTEST) -m "not cluster and not postgres" -n $(JOBS) --dist loadfile $(ARGS)

html-checker: $(INSTALLED)
	@$(PY) -m portal.tests.html_checker

screenshots: $(INSTALLED)
	@$(PY) manage.py shell --no-imports -c 'from portal.tests.screenshots import main; main()'

test-cluster: $(INSTALLED)
	@$(PY) -m devcluster build
	$(PYTEST) -m cluster $(ARGS)

test-postgres: $(INSTALLED)
	$(PY) -m portal.tests.postgres -- $(PYTEST) -m "not browser and not cluster and not debian" \
		-n $(JOBS) --dist loadfile stores provisioning portal $(ARGS)

cluster: $(INSTALLED)
	@$(PY) -m devcluster up

cluster-down: $(INSTALLED)
	@$(PY) -m devcluster down

bench: $(INSTALLED)
	@$(PY) -m devcluster build
	@exec $(PY) -m bench $(ARGS)

bench-web: $(INSTALLED)
	@$(PY) -m devcluster build
	@exec $(PY) -m bench.web $(ARGS)

soak: $(INSTALLED)
	@$(PY) -m devcluster build
	@exec $(PY) -m soak --minutes '$(MINUTES)' $(if $(SEED),--seed '$(SEED)') $(if $(POSTGRES),--postgres)

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo
	find templates -name '*.html' -exec $(VENV)/bin/djade --check --target-version 5.2 {} +
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py check

# Needs Debian's gettext. New texts come empty, changed ones marked as fuzzy: translate them, and again.
messages: $(INSTALLED)
	$(PY) manage.py makemessages -l de --no-location --no-obsolete --no-wrap -i $(VENV)
	$(PY) manage.py compilemessages -v0 -i $(VENV)

lock: $(INSTALLED)
	@test -x "$(UV)" || $(PY) -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) -o requirements.txt
	$(COMPILE) --group test --group lint -o requirements-dev.txt

clean:
	rm -rf $(VENV) .run staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
