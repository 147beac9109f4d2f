# make sets nothing up itself: bootstrap.py does, and Windows calls it without make (py bootstrap.py demo).
PYTHON ?= python3
UV_FLAGS ?=
LOCK = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
       --custom-compile-command "make lock" $(UV_FLAGS) pyproject.toml

.PHONY: demo test setup doctor tools lint test-browser test-servers nightly lock

demo: ## a real flow: read, transform, privacy review, decision, publish
	@$(PYTHON) bootstrap.py demo

test: ## every test that takes seconds
	@$(PYTHON) bootstrap.py test

setup: ## the environment alone
	@$(PYTHON) bootstrap.py setup

doctor: ## what is wrong with this machine, and the remedies
	@$(PYTHON) bootstrap.py doctor

tools: setup ## the linter, the type checker and the browser driver
	@.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes \
	  --only-binary :all: --no-binary rpy2-rinterface,pyftpdlib --no-build-isolation -r requirements-ci.lock

lint: tools
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test-browser: tools ## opens pages in a real Chromium
	.venv/bin/python -m pytest -m browser

test-servers: tools ## reads from real servers on this machine
	.venv/bin/python -m pytest -m servers

nightly: tools ## the slow suites too
	CTNB_EVERY_STEP=1 CTNB_LOAD_SECONDS=60 .venv/bin/python -m pytest -m "slow or browser or servers"

lock: ## the pinned environments, from pyproject.toml and requirements*.in; needs uv
	$(LOCK) requirements.in -o requirements.lock
	$(LOCK) requirements-ci.in -o requirements-ci.lock
