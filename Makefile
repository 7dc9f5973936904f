# Every target creates the environment that it needs; only Python >= 3.11 and make have to be installed by hand.
PYTHON ?= python3
PIP := -m pip --disable-pip-version-check --quiet
VENV := .venv/bin
PEERS := .venv-peers/bin

BENCH := .venv-bench/bin
GPU := .venv-gpu/bin
# For example: make test-gpu SANITIZER='compute-sanitizer --tool racecheck --error-exitcode 1'
SANITIZER ?=

.PHONY: retrain dashboard test test-gpu test-peers test-services torture bench bench-gpu lint docs golden settings-page clean help

help:
	@echo "make retrain     train, evaluate, promote and forecast on the sample data (ARGS='--help' for the options)"
	@echo "make dashboard   serve the dashboard on http://127.0.0.1:4200 and run what gatecast.toml says (ARGS='--port 4201')"
	@echo "make test        run the tests"
	@echo "make test-gpu    run the tests of the kernels on an NVIDIA GPU, at real sizes (docs/gpu.md)"
	@echo "make test-peers  compare with torch, pytorch-crf and ONNX Runtime, in an environment of their own"
	@echo "make test-services  run the tests that need a server, PostgreSQL, a browser or Ray, about five minutes"
	@echo "make torture     kill, starve and damage a workspace for forty minutes (ARGS='--minutes 60', '--only kills', '--short')"
	@echo "make bench       measure speed against torch, ONNX Runtime and neuralforecast (ARGS='--quick' for a minute's worth)"
	@echo "make bench-gpu   measure speed against torch and cuDNN on an NVIDIA GPU"
	@echo "make lint        ruff, mypy, import-linter, bandit, pip-audit"
	@echo "make settings-page  write docs/settings.md, the tables of all settings, from the settings themselves"
	@echo "make docs        build the documentation into site/ and check its links"

retrain: .venv/installed
	$(VENV)/gatecast retrain $(ARGS)

dashboard: .venv/installed
	$(VENV)/gatecast serve $(ARGS)

test: .venv/installed-test
	$(VENV)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

test-gpu: .venv-gpu/installed
	@NUMBA_ENABLE_CUDASIM=0 $(GPU)/python -m gatecast.kernels cuda
	NUMBA_ENABLE_CUDASIM=0 $(SANITIZER) $(GPU)/python -m pytest tests/kernels tests/lstm/test_backends.py $(ARGS)

test-peers: .venv-peers/installed
	$(PEERS)/python -m pytest tests/peers $(ARGS)

# Installs Debian's PostgreSQL and Chromium if they are missing and may be installed; otherwise their tests are skipped.
test-services: .venv/installed-services
	tests/services/install
	$(VENV)/python -m pytest tests/services $(ARGS)

# What may happen to a workspace in a year; docs/reliability.md says what is promised.
torture: .venv/installed-test
	$(VENV)/python -m tests.torture $(ARGS)

lint: .venv/installed-lint
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/hadolint Dockerfile
	$(VENV)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(VENV)/bandit -q -r -c pyproject.toml flows lstm data kernels
	$(VENV)/python -m tests.audit

# Any warning fails, and so does a link that leads nowhere or a page that would load something from another host. All pages
# are made again, since each holds the table of contents.
docs: .venv/installed-docs
	rm -rf site
	$(VENV)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --jobs auto -d build/docs docs site
	$(VENV)/python docs/check_site.py site

bench: .venv-bench/installed
	$(BENCH)/python -m benchmarks $(ARGS)

bench-gpu: .venv-gpu/installed-bench
	@NUMBA_ENABLE_CUDASIM=0 $(GPU)/python -m benchmarks.gpu $(ARGS)

settings-page: .venv/installed
	$(VENV)/python -m gatecast.flows.commands.settings_page

# The torch vectors that `make test` compares with; committed, so that torch is not needed to run the tests.
golden: .venv-peers/installed
	$(PEERS)/python -m tests.golden.make_lstm

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gatecast needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(VENV)/python $(PIP) install -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/installed
	$(VENV)/python $(PIP) install -c constraints.txt -e '.[test]'
	touch $@

.venv/installed-services: .venv/installed-test
	$(VENV)/python $(PIP) install -c constraints.txt -e '.[test,services]'
	touch $@

.venv/installed-lint: .venv/installed-test
	$(VENV)/python $(PIP) install -c constraints.txt -e '.[test,lint]'
	touch $@

.venv/installed-docs: .venv/installed-test
	$(VENV)/python $(PIP) install -c constraints.txt -e '.[test,docs]'
	touch $@

# The two nvidia packages compile CUDA kernels to PTX, which shows without a GPU that they would build for one.
.venv-peers/installed: pyproject.toml constraints.txt constraints-peers.txt
	test -x $(PEERS)/python || $(PYTHON) -m venv .venv-peers
	$(PEERS)/python $(PIP) install -c constraints.txt -c constraints-peers.txt -e '.[test]' torch onnx onnxruntime \
		pytorch-crf nvidia-nvvm nvidia-cuda-nvrtc
	touch $@

.venv-gpu/installed: pyproject.toml constraints.txt
	test -x $(GPU)/python || $(PYTHON) -m venv .venv-gpu
	$(GPU)/python $(PIP) install -c constraints.txt -e '.[test,cuda]'
	touch $@

# torch's own build for CUDA, whatever version the other environments pin for the CPU.
.venv-gpu/installed-bench: .venv-gpu/installed
	$(GPU)/python $(PIP) install torch
	touch $@

# torch first and by its exact version, so that no other package brings another build of it.
.venv-bench/installed: pyproject.toml constraints.txt constraints-peers.txt
	test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/python $(PIP) install -c constraints.txt -c constraints-peers.txt torch
	$(BENCH)/python $(PIP) install -c constraints.txt -c constraints-peers.txt -e '.[baselines]' onnx onnxruntime neuralforecast pytorch-crf
	touch $@

clean:
	rm -rf .venv .venv-gpu .venv-peers .venv-bench build site docs/reference
